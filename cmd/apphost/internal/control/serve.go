package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Serve answers requests until the server is closed, those that were resumed
// first. do does what a request asks for and returns the answer, of a type
// that package json can encode; it returns soon when ctx ends. Want of
// descriptors makes who asks wait.
func (s *Server) Serve(do func(context.Context, Request) any) {
	for _, r := range s.resumed {
		if s.begin() {
			go s.perform(r.conn, r.Request, do)
		}
	}
	for {
		conn, err := s.listener.AcceptUnix()
		if err == nil {
			go s.answer(conn, do)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case <-time.After(acceptPause):
		case <-s.ctx.Done():
			return
		}
	}
}

// acceptPause is how long to wait after a failed accept.
const acceptPause = 100 * time.Millisecond

func (s *Server) answer(conn *net.UnixConn, do func(context.Context, Request) any) {
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, requestBytes)
	if !lines.Scan() || !s.begin() {
		_ = conn.Close() // only looked whether somebody is here, or comes too late
		return
	}
	var r Request
	if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
		defer s.asked.Done()
		_ = json.NewEncoder(conn).Encode(failure{[]string{"the request is not understood: " + err.Error()}})
		_ = conn.Close()
		return
	}
	s.perform(conn, r, do)
}

// perform does what is asked for, answers, and is the end of what begin noted.
func (s *Server) perform(conn *net.UnixConn, r Request, do func(context.Context, Request) any) {
	defer s.asked.Done()
	var answer any
	switch {
	case r.Verb.known():
		_ = conn.SetDeadline(time.Time{})
		s.note(conn, r)
		answer = do(s.ctx, r)
		s.forget(conn)
		_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	default:
		answer = failure{[]string{fmt.Sprintf("this server does not know the request %q", r.Verb)}}
	}
	_ = json.NewEncoder(conn).Encode(answer) // whoever asked may be gone
	if r.Verb.endsServer() {
		s.keep(conn)
		return
	}
	_ = conn.Close()
}

// begin notes a request that Close will wait for.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.asked.Add(1)
	return true
}

// keep leaves a connection to the end of the process.
func (s *Server) keep(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeping = append(s.keeping, conn)
}

// Close closes and removes the socket, and sees to it that who asked has an
// answer.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.listener.Close() // which also unlinks it
	s.cancel()
	s.asked.Wait() // each ends with ctx, and writes with a deadline
}
