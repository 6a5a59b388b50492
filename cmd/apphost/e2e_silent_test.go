package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A client that says nothing loses its connection, and its child serves on.
func TestE2EASilentClientIsDisconnected(t *testing.T) {
	config := strings.NewReplacer("[mpm]", "[mpm]\nstart_servers = 1\nmin_spare_servers = 1\nmax_spare_servers = 2\nmax_request_workers = 1",
		`plugin = "echo"`, "plugin = \"echo\"\nread_timeout = \"200ms\"").Replace(plain)
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	children := s.Children()
	conn := dialTo(t, s.Addr("echo"))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the silent client reads %d bytes, %v, want the end", n, err)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Errorf("the next connection: %v", err)
	}
	if now := s.Children(); !slices.Equal(now, children) {
		t.Errorf("children %v became %v", children, now)
	}
}

// Whoever connects by HTTP and says nothing is the kernel's to wait for: more of them
// than there may be children keep nobody from being served.
func TestE2EASilentClientTakesNoChild(t *testing.T) {
	config := strings.Replace(plain, "[mpm]", "[mpm]\nstart_servers = 1\nmin_spare_servers = 1\nmax_spare_servers = 2\nmax_request_workers = 1", 1)
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	var silent []net.Conn
	for range 3 {
		silent = append(silent, dialTo(t, s.Addr("web")))
	}
	if body, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || !strings.Contains(body, "Hello") {
		t.Errorf("beside silent clients: %q, %v", body, err)
	}
	for _, conn := range silent {
		if _, err := conn.Write([]byte("GET /hello/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !bytes.Contains(answer, []byte("200 OK")) {
			t.Errorf("a client that speaks in the end: %q, %v", answer, err)
		}
	}
}

// A graceful stop serves whoever is in. By default the kernel keeps a client of HTTP
// out until it has said something, and resets its connection if the listener is closed
// by then; one that was let in is served, though it speaks late.
func TestE2EAGracefulStopResetsWhoHasSaidNothing(t *testing.T) {
	s := apphosttest.Start(t, plain+"[[listen]]\nname = \"early\"\naddress = \"127.0.0.1:0\"\ndefer_accept = \"0s\"\n",
		map[string]string{"hello": helloWasm, "echo": echoWasm})
	var conns []net.Conn
	for _, listener := range []string{"web", "early"} {
		conns = append(conns, dialTo(t, s.Addr(listener)))
	}
	apphosttest.Eventually(t, apphosttest.Patience, "one of them is in", func() bool { return statusOf(t, s).Busy == 1 })
	s.Signal(syscall.SIGQUIT)
	apphosttest.Eventually(t, apphosttest.Patience, "the listeners are closed", func() bool { return refused(s.Addr("web")) })
	for i, want := range []string{"", "200 OK"} {
		if _, err := io.WriteString(conns[i], "GET /hello/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conns[i])
		if reset := errors.Is(err, syscall.ECONNRESET); reset != (want == "") || !bytes.Contains(answer, []byte(want)) {
			t.Errorf("client %d: %q, %v", i, answer, err)
		}
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}
