package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// overUnix is plain with Unix sockets, and with mode on the first.
func overUnix(folder, mode string) string {
	return strings.NewReplacer(
		"name = \"web\"\naddress = \"127.0.0.1:0\"", "name = \"web\"\naddress = \"unix:"+folder+"/web.sock\"\n"+mode,
		"name = \"echo\"\naddress = \"127.0.0.1:0\"", "name = \"echo\"\naddress = \"unix:"+folder+"/echo.sock\"",
	).Replace(plain)
}

// socketFolder is one whose name is short enough.
func socketFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ah-") //nolint:usetesting // T.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// getUnix makes one HTTP request over a Unix socket.
func getUnix(path, url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	client := &http.Client{Transport: transport, Timeout: apphosttest.Patience}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// echoUnix sends text and wants it back, to the end.
func echoUnix(t *testing.T, path, text string) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	if got, err := io.ReadAll(conn); err != nil || string(got) != text {
		t.Errorf("%d bytes of %d came back: %v", len(got), len(text), err)
	}
}

func TestE2EUnixSockets(t *testing.T) {
	dir := socketFolder(t)
	web, echo := filepath.Join(dir, "web.sock"), filepath.Join(dir, "echo.sock")
	s := apphosttest.Start(t, overUnix(dir, `mode = "0660"`), map[string]string{"hello": helloWasm, "echo": echoWasm})
	for path, mode := range map[string]fs.FileMode{web: 0o660, echo: 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("%s: %v, %v; want a socket of mode %s", path, info, err, mode)
		}
	}
	if got := s.Addr("web"); got != "unix:"+web {
		t.Errorf("the log has the address %q", got)
	}
	if body, err := getUnix(web, "http://localhost/hello/"); err != nil || !strings.Contains(body, "Hello from WebAssembly!") {
		t.Errorf("GET /hello/: %q, %v", body, err)
	}
	if curl, err := exec.LookPath("curl"); err == nil {
		out, err := exec.Command(curl, "-sS", "--max-time", "20", "--unix-socket", web, "http://localhost/hello/").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Hello from WebAssembly!") {
			t.Errorf("curl: %s, %v", out, err)
		}
	}
	echoUnix(t, echo, strings.Repeat("x", 1<<20))

	before, err := os.Lstat(web)
	if err != nil {
		t.Fatal(err)
	}
	without, _, _ := strings.Cut(overUnix(dir, `mode = "0666"`), "[[listen]]\nname = \"echo\"")
	s.Configure(without)
	s.Reload()
	after, err := os.Lstat(web)
	if err != nil || !os.SameFile(before, after) || after.Mode().Perm() != 0o666 {
		t.Errorf("after the reload the socket is %v, %v; want the same with mode 0666", after, err)
	}
	if _, err := os.Lstat(echo); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of the listener that is gone is there: %v", err)
	}
	if body, err := getUnix(web, "http://localhost/hello/"); err != nil || !strings.Contains(body, "Hello from WebAssembly!") {
		t.Errorf("GET /hello/ after the reload: %q, %v", body, err)
	}
	s.Stop()
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("after the stop there are %v", left)
	}
}

// A server that was killed leaves its file, and the next one takes the path.
func TestE2EAStaleUnixSocketIsReplaced(t *testing.T) {
	dir := socketFolder(t)
	config := overUnix(dir, "")
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})

	second := apphosttest.New(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	out, code := second.Run("-c", "config.toml")
	if code != 1 {
		t.Errorf("a second server: exit status %d, want 1", code)
	}
	wantOneLine(t, out, []string{"unix:" + dir + "/web.sock", "another program or listener has it"})

	s.Kill()
	apphosttest.Eventually(t, apphosttest.Patience, "the children have gone", func() bool { return len(s.Processes()) == 0 })
	if _, err := os.Lstat(dir + "/web.sock"); err != nil {
		t.Fatalf("the killed server left no socket to replace: %v", err)
	}
	s.Start()
	if body, err := getUnix(dir+"/web.sock", "http://localhost/hello/"); err != nil || !strings.Contains(body, "Hello from WebAssembly!") {
		t.Errorf("GET /hello/: %q, %v", body, err)
	}
}

// A listener that a reload drops is shut down under the old children, which
// is no failure of theirs.
func TestE2EADroppedListenerIsNoFailure(t *testing.T) {
	for name, config := range map[string]string{"tcp": plain, "unix": overUnix(socketFolder(t), "")} {
		t.Run(name, func(t *testing.T) {
			s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
			without, _, _ := strings.Cut(config, "[[listen]]\nname = \"echo\"")
			for range 5 {
				s.Configure(without)
				s.Reload()
				s.Configure(config)
				s.Reload()
			}
			if log := s.Log(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "accept on") {
				t.Errorf("children failed:\n%s", log)
			}
		})
	}
}
