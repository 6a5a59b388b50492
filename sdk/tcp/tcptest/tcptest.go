//go:build !wasip1

// Package tcptest runs a guest written with package tcp as native code, for
// its unit tests:
//
//	func TestEcho(t *testing.T) {
//		s := tcptest.Start(t, tcptest.Options{})
//		c := s.Dial()
//		...
//	}
//
// The guest's code is the same as in the plugin. What differs is that memory
// is not reset between connections.
package tcptest

import (
	"net"
	"testing"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/connguest"
)

// Options are what the stand-in for the server tells the guest.
type Options struct {
	// Config is the plugin's configuration.
	Config map[string]string
	// Listener is the name tcp.Info gives; "test" if empty.
	Listener string
	// ServerName and ALPN are what tcp.Info gives as negotiated in TLS.
	ServerName, ALPN string
}

// Server stands in for the server. It serves one connection at a time, as an
// instance does.
type Server struct {
	t    testing.TB
	host *connguest.Fake
	done chan error // of the connection being served; nil if none is
}

// Start runs the function given to tcp.Init and returns a server for the
// handler given to tcp.Handle. It fails the test if the former returns an
// error. The stand-in is the process's, so tests that use it must not run in
// parallel.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(t, o)
	if err != nil {
		t.Fatalf("child_init: %v", err)
	}
	return s
}

// InitError is the error of the function given to tcp.Init, nil if there is
// none.
func InitError(t testing.TB, o Options) error {
	_, err := start(t, o)
	return err
}

func start(t testing.TB, o Options) (*Server, error) {
	if o.Listener == "" {
		o.Listener = "test"
	}
	s := &Server{t: t, host: &connguest.Fake{Values: o.Config, Facts: map[uint32]string{
		abi.InfoListener:      o.Listener,
		abi.InfoTLSServerName: o.ServerName,
		abi.InfoALPN:          o.ALPN,
		abi.InfoConnID:        "g1-s0-1",
	}}}
	before := connguest.SetFake(s.host)
	t.Cleanup(func() { connguest.SetFake(before) })
	return s, connguest.Init()
}

// Dial connects to the guest over TCP on the loopback interface and returns
// the client's side. The connection before it, if any, must have ended.
func (s *Server) Dial() net.Conn {
	s.t.Helper()
	if s.done != nil {
		s.t.Fatal("tcptest: Dial while a connection is open; call Wait first")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("tcptest: %v", err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		s.t.Fatalf("tcptest: %v", err)
	}
	accepted, err := l.Accept()
	if err != nil {
		s.t.Fatalf("tcptest: %v", err)
	}
	s.host.Conn = accepted
	s.host.Facts[abi.InfoPeerAddr] = accepted.RemoteAddr().String()
	s.host.Facts[abi.InfoLocalAddr] = accepted.LocalAddr().String()
	done := make(chan error, 1)
	s.done = done
	go func() {
		defer func() { _ = accepted.Close() }()
		done <- connguest.Serve(connguest.NewConn())
	}()
	s.t.Cleanup(func() {
		_ = client.Close()
		if s.done == done {
			_ = s.Wait()
		}
	})
	return client
}

// Wait waits until the handler returns and gives its error; those that the
// plugin does not log count as none: see tcp.Handle.
func (s *Server) Wait() error {
	s.t.Helper()
	if s.done == nil {
		s.t.Fatal("tcptest: Wait without Dial")
	}
	err := <-s.done
	s.done, s.host.Conn = nil, nil
	return err
}

// Stop makes tcp.Stopping true.
func (s *Server) Stop() { s.host.Leave.Store(true) }
