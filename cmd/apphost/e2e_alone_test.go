package main

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

func startAlone(t *testing.T) *apphosttest.Server {
	t.Helper()
	s := apphosttest.New(t, detachable, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.Flags = []string{"-X"}
	s.Start()
	return s
}

// -X is one process, which serves one connection after the other.
func TestE2EOneProcess(t *testing.T) {
	s := startAlone(t)
	for range 3 {
		body, err := get("http://" + s.Addr("web") + "/hello/")
		if err != nil || !strings.Contains(body, "Hello") {
			t.Errorf("GET /hello/: %q, %v", body, err)
		}
	}
	if all := s.Processes(); len(all) != 1 || all[0] != s.PID {
		t.Errorf("processes %v, want %d alone", all, s.PID)
	}
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	second, err := net.Dial("tcp", s.Addr("echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := second.Read(make([]byte, 3)); err == nil {
		t.Error("two connections are served at once")
	}
	if err := roundTrip(); err != nil {
		t.Error(err)
	}
	hangUp()
	_ = second.SetReadDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.ReadFull(second, make([]byte, 3)); err != nil {
		t.Errorf("the second connection: %v", err)
	}
}

// A signal ends it after the connection that is served.
func TestE2EOneProcessEndsAfterItsConnection(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := startAlone(t)
			roundTrip, hangUp := hold(t, s.Addr("echo"))
			s.Signal(sig)
			for range 3 {
				if err := roundTrip(); err != nil {
					t.Fatal(err)
				}
			}
			hangUp()
			wantGone(t, s)
			idle := startAlone(t)
			idle.Signal(sig)
			wantGone(t, idle)
		})
	}
}

func TestE2EOneProcessSaysWhatStandsInItsWay(t *testing.T) {
	s := startAlone(t)
	s.Configure(strings.Replace(detachable, "127.0.0.1:0", s.Addr("web"), 1))
	wantRun(t, s, 1, "listen on "+s.Addr("web"), "-X")
	s.Configure("[mmp]\n" + detachable)
	wantRun(t, s, 1, "mmp: unknown key", "-X")
}

// One process cannot give up root and open ports, so it does not run plugins
// that somebody else should run, and says what else it does without.
func TestE2EOneProcessDoesNotRunPluginsAsRootUnasked(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	s := apphosttest.New(t, strings.Replace(withStatus, "[mpm]", "[mpm]\nuser = \"65534\"\ngroup = \"65534\"", 1),
		map[string]string{"hello": helloWasm, "echo": echoWasm})
	out, code := s.Run("-X", "-c", "config.toml")
	if code != 1 || !strings.Contains(out, "mpm.user: one process (-X) does not become another user") {
		t.Errorf("exit status %d: %s", code, out)
	}
	s.Configure(withStatus)
	s.Flags = []string{"-X"}
	s.Start()
	for _, want := range []string{"plugins run as root", "status.path: one process (-X) has no status page"} {
		if !strings.Contains(s.Log(), want) {
			t.Errorf("the log does not say %q:\n%s", want, s.Log())
		}
	}
}
