//go:build !wasip1

package tcp_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/sdk/tcp"
	"github.com/apphost/apphost/sdk/tcp/tcptest"
)

// The package has one handler per process, as a guest has, so the tests share
// one: it does what the client's first line says.
func init() {
	tcp.Handle(obey)
	tcp.Init(func() error {
		if v, _ := tcp.Config("unusable"); v != "" {
			return errors.New("told to be unusable")
		}
		return nil
	})
}

var errAsked = errors.New("asked to fail")

func obey(c net.Conn) error {
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	switch strings.TrimSpace(line) {
	case "echo":
		_, err := io.Copy(c, in)
		return err
	case "fail":
		return errAsked
	case "info":
		greeting, found := tcp.Config("greeting")
		_, missing := tcp.Config("missing")
		fmt.Fprintf(c, "%+v %s %t %t %t\n", tcp.Info(), greeting, found, missing, tcp.Stopping())
		fmt.Fprintf(c, "%s %s\n", c.LocalAddr(), c.RemoteAddr())
	case "deadline":
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("read past the deadline: %w", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("second read past the deadline: %w", err)
		}
		c.SetReadDeadline(time.Time{})
		fmt.Fprintln(c, "now")
		_, err := in.ReadByte()
		return err
	case "close":
		if err := c.Close(); err != nil {
			return err
		}
		_, err := c.Write([]byte("x"))
		if _, isOp := errors.AsType[*net.OpError](err); !errors.Is(err, net.ErrClosed) || !isOp {
			return fmt.Errorf("write after close: got %T: %w", err, errAsked)
		}
		return err
	case "wait":
		_, err := in.ReadByte()
		return fmt.Errorf("wrapped: %w", err)
	}
	return nil
}

func TestEchoUntilTheClientIsDone(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{})
	for range 2 {
		c := s.Dial()
		fmt.Fprint(c, "echo\nhello")
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
			t.Errorf("got %q, %v", got, err)
		}
		if err := s.Wait(); err != nil {
			t.Errorf("the end of the stream is no fault, got %v", err)
		}
	}
}

func TestHandlerErrorReachesTheServer(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{})
	fmt.Fprintln(s.Dial(), "fail")
	if err := s.Wait(); !errors.Is(err, errAsked) {
		t.Errorf("got %v", err)
	}
}

func TestAClientThatGoesAwayIsNoFault(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{})
	c := s.Dial()
	fmt.Fprintln(c, "wait")
	_ = c.(*net.TCPConn).SetLinger(0) // a reset
	c.Close()
	if err := s.Wait(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestInfoAndConfig(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{
		Config:   map[string]string{"greeting": "hi"},
		Listener: "front", ServerName: "example.org", ALPN: "dot",
	})
	s.Stop()
	c := s.Dial()
	fmt.Fprintln(c, "info")
	got, _ := io.ReadAll(c)
	want := fmt.Sprintf("{ID:g1-s0-1 Listener:front ServerName:example.org ALPN:dot} hi true false true\n%s %s\n",
		c.RemoteAddr(), c.LocalAddr())
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestReadDeadline(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{})
	c := s.Dial()
	fmt.Fprintln(c, "deadline")
	// The handler reads again without a deadline once it says so.
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "now\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	fmt.Fprint(c, "x")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUseAfterClose(t *testing.T) {
	s := tcptest.Start(t, tcptest.Options{})
	c := s.Dial()
	fmt.Fprintln(c, "close")
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("the client wants the end of the stream, got %q, %v", rest, err)
	}
}

func TestInitError(t *testing.T) {
	err := tcptest.InitError(t, tcptest.Options{Config: map[string]string{"unusable": "1"}})
	if err == nil || err.Error() != "told to be unusable" {
		t.Errorf("got %v", err)
	}
}
