package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/mpm/pidfile"
)

// What a service manager gave to the server stays with it over upgrades, and is
// nobody else's: sockets, and where to tell how the server is doing, which has
// the same process number as ever.
func TestE2EAnUpgradeKeepsWhatTheServiceManagerGave(t *testing.T) {
	folder := socketFolder(t)
	path := folder + "/web.sock"
	web, echoed := listenOn(t, "unix", path), listenOn(t, "tcp", "127.0.0.1:0")
	config := strings.Replace(plain, "name = \"web\"\naddress = \"127.0.0.1:0\"", "name = \"web\"\naddress = \"unix:"+path+"\"", 1)
	s := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	s.OwnBinary()
	handOver(t, s, "apphost.socket:echo", web, echoed)
	n := listenForNotes(t, s, folder+"/notify")
	s.Start()
	n.next("READY=1", "STATUS=generation 1 serves")
	for i := range 2 {
		asked := monotonicMicroseconds(t)
		s.Install(s.Dir + "/apphost") // the same build, another file
		upgradeTo(t, s, s.Dir+"/apphost", version)
		n.reloading(asked)
		n.next("READY=1", fmt.Sprintf("STATUS=generation %d serves", i+2))
		if _, err := getUnix(path, "http://localhost/hello/"); err != nil {
			t.Error(err)
		}
		if err := echo(echoed.Addr().String(), "ping"); err != nil {
			t.Error(err)
		}
	}
	out, _ := s.Run("upgrade", "-c", "config.toml", "--binary", "/bin/true")
	if !strings.Contains(out, "generation 3") {
		t.Errorf("an upgrade to nothing: %s", out)
	}
	n.next("RELOADING=1")
	n.next("READY=1", "generation 3 serves on", "/bin/true")
	for _, pid := range s.Children() {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		for _, name := range []string{"LISTEN_", "NOTIFY_SOCKET", "APPHOST_TAKEOVER", "APPHOST_UPGRADE"} {
			if err != nil || bytes.Contains(environ, []byte(name)) {
				t.Errorf("child %d has %s in its environment: %v", pid, name, err)
			}
		}
		if mask := blockedSignals(t, pid); strings.Trim(mask, "0") != "" {
			t.Errorf("child %d blocks signals: %s", pid, mask)
		}
	}
	s.Stop()
	n.next("STOPPING=1")
	wantAccepted(t, web, path)
	wantAccepted(t, echoed, echoed.Addr().String())
}

// wantAccepted checks that a listener of ours is whole, and that nobody else
// takes its clients.
func wantAccepted(t *testing.T, l net.Listener, address string) {
	t.Helper()
	client, err := net.Dial(l.Addr().Network(), address)
	if err != nil {
		t.Errorf("the manager's socket is gone: %v", err)
		return
	}
	defer client.Close()
	if err := l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(apphosttest.Patience)); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Errorf("somebody took a client of %s after the stop: %v", address, err)
		return
	}
	_ = c.Close()
}

// blockedSignals are those of a process's first thread, in hexadecimal.
func blockedSignals(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "SigBlk:")
	mask, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	return mask
}

// A Unix socket that the server made is still its own after an upgrade: the
// reload that does without it removes its file.
func TestE2EAnUpgradeKeepsUnixSockets(t *testing.T) {
	path := socketFolder(t) + "/web.sock"
	config := strings.Replace(plain, "name = \"web\"\naddress = \"127.0.0.1:0\"", "name = \"web\"\naddress = \"unix:"+path+"\"", 1)
	s := startOwn(t, config)
	upgradeTo(t, s, s.Dir+"/apphost", version)
	if body, err := getUnix(path, "http://localhost/hello/"); err != nil || !strings.Contains(body, "Hello") {
		t.Errorf("after the upgrade: %q, %v", body, err)
	}
	s.Configure(plain)
	s.Reload()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is left", path)
	}
}

// Whenever SIGTERM comes in an upgrade, the server stops: as ever, or, in the
// moment when no program can listen, as by a kill.
func TestE2ETermDuringAnUpgradeStopsTheServer(t *testing.T) {
	for i := range 8 {
		s := startOwn(t, plain)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.Run("upgrade", "-c", "config.toml")
		}()
		if _, ok := s.WaitLog("the new binary has proved itself", nil); !ok {
			t.Fatal("no upgrade")
		}
		<-time.After(time.Duration(i) * 2 * time.Millisecond)
		s.Signal(syscall.SIGTERM)
		if err := s.Wait(); err != nil && err.Error() != "signal: terminated" {
			t.Errorf("the server ended badly: %v", err)
		}
		<-answered
		apphosttest.Eventually(t, promptly, "no process is left", func() bool { return len(s.Processes()) == 0 })
	}
}

// The pid file stays, with its lock, and goes with the server.
func TestE2EAnUpgradeKeepsThePIDFile(t *testing.T) {
	path := t.TempDir() + "/apphost.pid"
	s := startOwn(t, strings.Replace(plain, "[mpm]", fmt.Sprintf("[mpm]\npid_file = %q", path), 1))
	for range 2 {
		upgradeTo(t, s, s.Dir+"/apphost", version)
		if text, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(s.PID) {
			t.Errorf("after an upgrade the pid file has %q, %v", text, err)
		}
	}
	if file, err := pidfile.Hold(path, 1); err == nil {
		file.Release()
		t.Error("the pid file is not locked")
	}
	s.Stop()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the pid file is left")
	}
}
