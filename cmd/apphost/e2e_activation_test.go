package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// handOver gives the server sockets as systemd does: descriptors from 3 on,
// and an environment that says whose they are.
func handOver(t *testing.T, s *apphosttest.Server, names string, listeners ...net.Listener) {
	t.Helper()
	for _, l := range listeners {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		s.ExtraFiles = append(s.ExtraFiles, f)
	}
	s.Env = append(s.Env, fmt.Sprintf("LISTEN_FDS=%d", len(listeners)), "LISTEN_FDNAMES="+names)
	s.Shell = `LISTEN_PID=$$ exec "$0" "$@"`
}

func listenOn(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestE2ESocketActivation(t *testing.T) {
	path := socketFolder(t) + "/web.sock"
	web, echoed := listenOn(t, "unix", path), listenOn(t, "tcp", "127.0.0.1:0")
	config := strings.Replace(plain, "name = \"web\"\naddress = \"127.0.0.1:0\"", "name = \"web\"\naddress = \"unix:"+path+"\"", 1)
	s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	handOver(t, s, "apphost.socket:echo", web, echoed) // the first by its address, the other by its name

	// A client that came before the server is served by it.
	early, err := net.Dial("tcp", echoed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	s.Start()
	if got := s.Addr("echo"); got != echoed.Addr().String() {
		t.Errorf("echo listens on %s, want the socket that was handed over, %s", got, echoed.Addr())
	}
	if _, err := early.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Read(make([]byte, 4)); err != nil {
		t.Errorf("the early client: %v", err)
	}
	for range 2 {
		if body, err := getUnix(path, "http://localhost/hello/"); err != nil || !strings.Contains(body, "Hello from WebAssembly!") {
			t.Errorf("GET /hello/: %q, %v", body, err)
		}
		if err := echo(echoed.Addr().String(), "ping"); err != nil {
			t.Error(err)
		}
		s.Reload()
	}
	for _, pid := range s.Children() {
		if environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); bytes.Contains(environ, []byte("LISTEN_")) {
			t.Errorf("child %d believes that sockets were handed to it: %q", pid, environ)
		}
	}
	s.Configure(strings.Replace(config, "name = \"echo\"", "name = \"other\"", 1))
	out, code := s.Run("reload", "-c", "config.toml")
	if code != 1 {
		t.Errorf("a reload that leaves a socket without a listener: exit status %d, want 1", code)
	}
	wantOneLine(t, out, []string{`"other" (127.0.0.1:0) has no socket`, `"echo"`, echoed.Addr().String(), "has no listener"})
	s.Stop()

	// They are the manager's: it may start the server again.
	for _, l := range []net.Listener{web, echoed} {
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Errorf("a socket that was handed over is gone: %v", err)
			continue
		}
		_ = c.Close()
	}
}

func TestE2EASocketForNoListenerIsRefused(t *testing.T) {
	s := apphosttest.New(t, plain, map[string]string{"hello": helloWasm, "echo": echoWasm})
	l := listenOn(t, "tcp", "127.0.0.1:0")
	handOver(t, s, "nobody", l)
	out, code := s.Run("-c", "config.toml")
	if code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	wantOneLine(t, out, []string{`listener "web" (127.0.0.1:0)`, `descriptor 3 "nobody" (` + l.Addr().String() + ")"})
	if left := s.Processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}
