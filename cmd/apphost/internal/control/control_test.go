package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
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
	go s.Serve(func(context.Context, Request) any { return result })
	return s
}

func reload(t *testing.T, configPath string) (r prefork.Result, err error) {
	err = Ask(t.Context(), configPath, Reload, &r)
	return r, err
}

func TestReloadBringsTheResultBack(t *testing.T) {
	runtimeFolder(t)
	want := prefork.Result{Generation: 7, Errors: []string{"one", "two"}, Warnings: []string{"old key"}}
	serve(t, "/etc/a.toml", want)
	got, err := reload(t, "/etc/a.toml")
	if err != nil || got.Generation != 7 || len(got.Errors) != 2 || len(got.Warnings) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEachConfigurationFileHasItsOwnSocket(t *testing.T) {
	runtimeFolder(t)
	serve(t, "/etc/a.toml", prefork.Result{Generation: 1})
	if _, err := reload(t, "/srv/a.toml"); err == nil || !strings.Contains(err.Error(), "no server") {
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
	if _, err := reload(t, "/etc/a.toml"); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("reload with a stale socket: %v", err)
	}
	serve(t, "/etc/a.toml", prefork.Result{Generation: 2})
	if r, err := reload(t, "/etc/a.toml"); err != nil || r.Generation != 2 {
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

// The answer to a stop is there when the process is gone, which closes the
// connection.
func TestAStopIsAnsweredAtTheEnd(t *testing.T) {
	runtimeFolder(t)
	s := serve(t, "/etc/a.toml", prefork.Result{})
	ended := make(chan error, 1)
	go func() { ended <- Ask(t.Context(), "/etc/a.toml", Stop, new(prefork.Result)) }()
	var kept []net.Conn
	for len(kept) == 0 {
		s.mu.Lock()
		kept = s.keeping
		s.mu.Unlock()
		runtime.Gosched()
	}
	s.Close()
	select {
	case err := <-ended:
		t.Fatalf("the stop is over before the process: %v", err)
	default:
	}
	_ = kept[0].Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Close waits for the answers that are under way, and ends what they wait for.
func TestCloseAnswersEverybody(t *testing.T) {
	runtimeFolder(t)
	s, err := Listen("/etc/a.toml")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	go s.Serve(func(ctx context.Context, _ Request) any {
		close(begun)
		<-ctx.Done()
		return prefork.Result{Errors: []string{"too late"}}
	})
	type answer struct {
		r   prefork.Result
		err error
	}
	ended := make(chan answer, 1)
	go func() {
		r, err := reload(t, "/etc/a.toml")
		ended <- answer{r, err}
	}()
	<-begun
	s.Close()
	if a := <-ended; a.err != nil || len(a.r.Errors) != 1 {
		t.Errorf("%+v, %v", a.r, a.err)
	}
}

// A path that no socket can have is named from both ends.
func TestATooLongPathIsExplained(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(runtimeFolder(t), strings.Repeat("x", pathBytes)))
	_, listening := Listen("/etc/a.toml")
	_, asking := reload(t, "/etc/a.toml")
	for _, err := range []error{listening, asking} {
		if err == nil || !strings.Contains(err.Error(), "set XDG_RUNTIME_DIR to a shorter folder") {
			t.Errorf("%v", err)
		}
	}
}
