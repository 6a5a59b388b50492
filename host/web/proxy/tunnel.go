package proxy

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

// errIdle is of an upgraded connection on which nobody said anything.
var errIdle = errors.New("both sides were silent for too long")

// pipe is one of the two directions of a tunnel.
type pipe struct {
	from interface {
		io.Reader
		SetReadDeadline(t time.Time) error
	}
	to interface {
		io.Writer
		SetWriteDeadline(t time.Time) error
		CloseWrite() error
	}
}

// tunnel passes bytes both ways until both sides have closed, one fails, or both
// were silent for idle. It closes upstream.
func tunnel(client exchange.Stream, upstream *conn, idle time.Duration) error {
	defer func() { _ = upstream.Close() }()
	t := &tunnelState{idle: idle, began: time.Now()}
	there := pipe{client, upstream}
	back := pipe{upstreamReader{upstream}, client}
	first := make(chan error, 1)
	go func() {
		err := t.copy(there)
		t.end(err, there, back)
		first <- err
	}()
	err := t.copy(back)
	t.end(err, there, back)
	if other := <-first; err == nil || errors.Is(err, errEnded) {
		err = other
	}
	return err
}

// errEnded is of a direction that the other one has ended.
var errEnded = errors.New("ended")

type tunnelState struct {
	idle   time.Duration
	began  time.Time
	active atomic.Int64 // when a byte passed, after began
	over   atomic.Bool
}

// upstreamReader reads what was read ahead, too.
type upstreamReader struct{ *conn }

func (u upstreamReader) Read(p []byte) (int, error) { return u.buffered.Read(p) }

// copy passes one direction until its end.
func (t *tunnelState) copy(p pipe) error {
	buf := make([]byte, copyBytes)
	for {
		if err := p.from.SetReadDeadline(time.Now().Add(t.idle)); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if t.over.Load() {
			return errEnded
		}
		n, err := p.from.Read(buf)
		if n > 0 {
			t.active.Store(int64(time.Since(t.began)))
			if err := t.write(p, buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case err == io.EOF:
			_ = p.to.CloseWrite() // if it fails, the other direction will
			return nil
		case t.over.Load():
			return errEnded
		case !isTimeout(err):
			return fmt.Errorf("read: %w", err)
		case time.Since(t.began)-time.Duration(t.active.Load()) >= t.idle:
			return errIdle
		}
	}
}

func (t *tunnelState) write(p pipe, b []byte) error {
	if err := p.to.SetWriteDeadline(time.Now().Add(t.idle)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if t.over.Load() {
		return errEnded
	}
	if _, err := p.to.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// end ends both directions if one has failed.
func (t *tunnelState) end(err error, pipes ...pipe) {
	if err == nil {
		return
	}
	t.over.Store(true)
	for _, p := range pipes {
		_ = p.from.SetReadDeadline(time.Unix(1, 0)) // long ago
		_ = p.to.SetWriteDeadline(time.Unix(1, 0))
	}
}
