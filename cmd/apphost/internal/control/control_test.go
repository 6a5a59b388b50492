package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/mpm/prefork"
)

// runtimeFolder is short, as the path of a socket must be.
func runtimeFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl-") //nolint:usetesting // T.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

func serve(t *testing.T, configPath string, result prefork.Result) *Server {
	t.Helper()
	s, err := Listen(configPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	go s.Serve(func(context.Context) prefork.Result { return result })
	return s
}

func TestReloadBringsTheResultBack(t *testing.T) {
	runtimeFolder(t)
	want := prefork.Result{Generation: 7, Errors: []string{"one", "two"}, Warnings: []string{"old key"}}
	serve(t, "/etc/a.toml", want)
	got, err := Reload(t.Context(), "/etc/a.toml")
	if err != nil || got.Generation != 7 || len(got.Errors) != 2 || len(got.Warnings) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEachConfigurationFileHasItsOwnSocket(t *testing.T) {
	runtimeFolder(t)
	serve(t, "/etc/a.toml", prefork.Result{Generation: 1})
	if _, err := Reload(t.Context(), "/srv/a.toml"); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("reload of another file: %v", err)
	}
	if _, err := Listen("/etc/a.toml"); !errors.Is(err, ErrRunning) {
		t.Errorf("a second server: %v, want ErrRunning", err)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	runtimeFolder(t)
	s, err := Listen("/etc/a.toml")
	if err != nil {
		t.Fatal(err)
	}
	s.listener.SetUnlinkOnClose(false) // as after a kill
	s.Close()
	if _, err := Reload(t.Context(), "/etc/a.toml"); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("reload with a stale socket: %v", err)
	}
	serve(t, "/etc/a.toml", prefork.Result{Generation: 2})
	if r, err := Reload(t.Context(), "/etc/a.toml"); err != nil || r.Generation != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAFolderOthersCanWriteToIsRefused(t *testing.T) {
	dir := runtimeFolder(t)
	shared := filepath.Join(dir, "apphost")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("/etc/a.toml"); err == nil || !strings.Contains(err.Error(), shared) {
		t.Errorf("error %v does not name the folder", err)
	}
}

func TestNonsenseIsAnsweredWithAnError(t *testing.T) {
	runtimeFolder(t)
	serve(t, "/etc/a.toml", prefork.Result{})
	for _, text := range []string{"nonsense\n", `{"verb":"dance"}` + "\n"} {
		conn, err := net.Dial("unix", Path("/etc/a.toml"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "Errors") {
			t.Errorf("%q is answered %q, %v", text, answer, err)
		}
		conn.Close()
	}
}
