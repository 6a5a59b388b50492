package prefork

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// crew is the worker model: the child's main goroutine accepts, and each
// connection has a goroutine and, while it is served, one of the threads of
// the scoreboard.
//
// The main goroutine waits with its own epoll set, as in the prefork model: a
// listener in the Go runtime's set would wake all children for each
// connection. Connections are in the runtime's.
//
// While every thread is taken, listeners and pod are not watched, so that a
// connection wakes a child that can take it.
//
// A connection that idles for a while keeps its thread and nothing else: see parking.
type crew struct {
	*Child
	ctx     context.Context
	handler mpm.ConnHandler

	// wake has a byte when a thread is free again and the main goroutine waits
	// for that.
	wakeR, wakeW sys.FD
	hurried      atomic.Bool // idle connections end

	mu      sync.Mutex
	free    []int         // threads without a connection
	conns   []*threadConn // by thread; nil is free, or parked
	parking parking
	awaited bool // the main goroutine waits for a free one

	serving   sync.WaitGroup // connections with a thread
	lingering sync.WaitGroup // those that wait for their peer to close
	lingers   atomic.Int32   // how many that are
}

func newCrew(ctx context.Context, c *Child, h mpm.ConnHandler) (*crew, error) {
	w := &crew{Child: c, ctx: ctx, handler: h, conns: make([]*threadConn, c.board.Threads())}
	for i := range w.conns {
		w.free = append(w.free, len(w.conns)-1-i) // the first is on top
	}
	var err error
	if w.wakeR, w.wakeW, err = sys.Pipe(); err != nil {
		return nil, err
	}
	if w.parking, err = newParking(); err != nil {
		return nil, err
	}
	for _, fd := range []sys.FD{w.wakeR, c.hurryPipe, w.parking.epoll.FD()} {
		if err := c.epoll.Add(fd, false); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *crew) serve(share uint64) error {
	for !w.over && (share == 0 || w.tally.served < share) && !w.outOfMemory() {
		w.restock()
		if err := w.awaitThread(); err != nil {
			return fmt.Errorf("%w: %w", ErrSick, err)
		}
		// It looks before it waits, so one whose generation was over meanwhile
		// leaves.
		l, err := w.await()
		if err != nil {
			return err
		}
		if l == nil {
			return nil
		}
		l, fd, peer, err := w.accept(l)
		if err != nil {
			return err
		}
		w.note(l != nil)
		if l == nil {
			continue
		}
		w.start(l.name, fd, peer)
	}
	return nil
}

// awaitThread waits until a thread is free, or the child is to leave.
func (w *crew) awaitThread() error {
	if w.anyFree() {
		return nil
	}
	if err := w.deafen(); err != nil {
		return err
	}
	for woken := false; !woken && !w.over; {
		var err error
		if w.events, err = w.epoll.Wait(w.events[:0], w.nextTend(time.Now())); err != nil {
			return err
		}
		for _, ev := range w.events {
			switch ev.FD {
			case w.generation, w.lifeline:
				w.over = true
			case w.hurryPipe:
				if err := w.hurry(); err != nil {
					return err
				}
			case w.wakeR:
				var b [1]byte
				n, _ := w.wakeR.Read(b[:])
				woken = n > 0
			case w.parking.epoll.FD():
				if err := w.revive(); err != nil {
					return err
				}
			}
		}
		w.tend(time.Now())
	}
	return w.listen()
}

// anyFree reports whether a thread is; if none, there will be a byte in wake
// when one is.
func (w *crew) anyFree() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited = len(w.free) == 0
	return !w.awaited
}

// start serves a connection beside the others. There is a free thread, since
// only the caller takes one.
func (w *crew) start(listener string, fd sys.FD, peer net.Addr) {
	c := &threadConn{crew: w, file: os.NewFile(uintptr(fd), "connection")}
	w.mu.Lock()
	c.number = w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.conns[c.number] = c
	w.mu.Unlock()
	c.init(fd, w.tally.served, listener, peer, w.board.Thread(c.number), w.clock)
	w.launch(c)
}

// launch serves a connection on a goroutine, from now on.
func (w *crew) launch(c *threadConn) {
	if p := &w.parking; p.look.IsZero() {
		p.look = time.Now().Add(p.after)
	}
	w.serving.Add(1)
	go w.run(c)
}

func (w *crew) run(c *threadConn) {
	defer w.serving.Done()
	for {
		w.handler.ServeConn(w.ctx, c)
		if !c.parks {
			w.dismiss(c)
			return
		}
		if w.park(c) {
			return
		}
		c.stay()
	}
}

// dismiss ends a connection, and frees its thread.
func (w *crew) dismiss(c *threadConn) {
	c.thread.SetState(mpm.StateClosing)
	w.end(c)
	c.count()
	c.thread.SetState(mpm.StateReady)
	w.mu.Lock()
	w.conns[c.number] = nil
	w.free = append(w.free, c.number)
	awaited := w.awaited
	w.awaited = false
	w.mu.Unlock()
	if awaited {
		_, _ = w.wakeW.Write([]byte{'!'})
	}
}

// end closes a connection whose handler has returned. A peer that may still
// send gets time to read; see lingering.
func (w *crew) end(c *threadConn) {
	if c.retire() || c.ended || c.broken.Load() {
		_ = c.file.Close()
		return
	}
	_ = c.fd.ShutdownWrite()
	if discard(c.fd) || w.lingers.Load() >= lingerMax { // or a few more, at once
		_ = c.file.Close()
		return
	}
	w.lingers.Add(1)
	w.lingering.Go(func() {
		defer w.lingers.Add(-1)
		c.linger()
	})
}

// hurry ends the connections that idle between two requests, now and from now
// on.
func (w *crew) hurry() error {
	if w.hurried.Swap(true) {
		return nil
	}
	w.mu.Lock()
	for _, c := range w.conns {
		if c != nil {
			c.interrupt()
		}
	}
	w.mu.Unlock()
	w.reviveAll()
	return w.epoll.Remove(w.hurryPipe)
}

// finish waits for the connections, however long they take, and a while for
// peers that still read.
func (w *crew) finish() {
	_ = w.hurry() // nothing is watched any longer
	w.serving.Wait()
	w.parking.close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		w.lingering.Wait()
	}()
	select {
	case <-gone:
	case <-time.After(w.patience()):
	}
}
