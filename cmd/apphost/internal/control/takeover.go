package control

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
)

// Handed is how a Server travels to another program in the same process: the
// descriptors of its socket and of those who wait for an answer, with what they
// asked for. It is part of the contract between two builds, see package
// prefork: fields may be added.
type Handed struct {
	Listener int     `json:"listener"`
	Asked    []Asked `json:"asked"`
}

// Asked is a request without an answer yet.
type Asked struct {
	FD int `json:"fd"`
	Request
}

// Descriptors are all that are named.
func (h *Handed) Descriptors() []int {
	fds := []int{h.Listener}
	for _, a := range h.Asked {
		fds = append(fds, a.FD)
	}
	return fds
}

type resumedRequest struct {
	conn *net.UnixConn
	Request
}

// note remembers who waits for an answer, forget that nobody does.
func (s *Server) note(conn *net.UnixConn, r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking[conn] = r
}

func (s *Server) forget(conn *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, conn)
}

// Export describes the server by descriptors made for that, which undo closes.
// The server goes on until another program is executed.
func (s *Server) Export() (h Handed, undo func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []*os.File
	undo = func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	add := func(f *os.File, err error) (int, error) {
		if err != nil {
			return 0, fmt.Errorf("hand over control socket: %w", err)
		}
		files = append(files, f)
		return descriptor(f)
	}
	if h.Listener, err = add(s.listener.File()); err != nil {
		undo()
		return Handed{}, nil, err
	}
	for _, conn := range slices.Collect(maps.Keys(s.asking)) {
		fd, err := add(conn.File())
		if err != nil {
			undo()
			return Handed{}, nil, err
		}
		h.Asked = append(h.Asked, Asked{FD: fd, Request: s.asking[conn]})
	}
	return h, undo, nil
}

// descriptor is the number of f. File.Fd would make reads of what f shares its
// description with block.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("hand over control socket: %w", err)
	}
	var got int
	err = raw.Control(func(fd uintptr) { got = int(fd) })
	return got, err
}

// Resume makes a server of what Export described. Serve does anew what was
// asked for, and says so by Request.Resumed. The descriptors stay as they are
// until Settle, for another program that might want them back.
//
// # Errors
//
// A descriptor is not what it should be.
func Resume(h Handed) (*Server, error) {
	file := os.NewFile(uintptr(h.Listener), "control")
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take over control socket: %w", err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.New("take over control socket: it is no Unix socket")
	}
	s := newServer(listener)
	s.handed = append(s.handed, file)
	for _, a := range h.Asked {
		file := os.NewFile(uintptr(a.FD), "asked")
		s.handed = append(s.handed, file)
		c, err := net.FileConn(file)
		if err != nil {
			return nil, fmt.Errorf("take over request %q: %w", a.Verb, err)
		}
		conn, ok := c.(*net.UnixConn)
		if !ok {
			return nil, fmt.Errorf("take over request %q: it did not come by a Unix socket", a.Verb)
		}
		a.Resumed = true
		s.resumed = append(s.resumed, resumedRequest{conn, a.Request})
	}
	return s, nil
}

// Settle ends what Resume has begun: the server is this program's.
func (s *Server) Settle() {
	s.listener.SetUnlinkOnClose(true)
	for _, f := range s.handed {
		_ = f.Close()
	}
	s.handed = nil
}
