package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// sharedCache keeps compiled code for all tests: a guest in Go takes seconds, and
// under the race detector many. TestMain removes it.
var sharedCache = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "apphost-host-")
	if err != nil {
		panic(err)
	}
	return dir
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(sharedCache())
	os.Exit(code)
}

// granted serves the program of testdata/files with grants on the listener "raw".
func granted(t *testing.T, grants host.Plugin) (*host.Host, *hosttest.Log) {
	t.Helper()
	grants.Name, grants.Wasm = "files", buildGuest(t, "testdata/files")
	logger, log := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{grants},
		Listeners: []host.Listener{{Name: "raw", Protocol: host.TCP, Plugin: "files"}},
		CacheDir:  sharedCache(),
		Logger:    logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, log
}

// buildGuest builds the Go program in dir.
func buildGuest(t *testing.T, dir string, flags ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "guest.wasm")
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", file, ".")...)
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	must(t, err)
	return wasm
}

// The other ABIs get the same, whatever their isolation.
func TestHandlersAreGrantedTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling guests in Go takes seconds")
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600))
	plugin := func(abi string, isolation host.Isolation) host.Plugin {
		return host.Plugin{
			Name: abi + string(isolation), Wasm: buildGuest(t, "testdata/handler", "-buildmode=c-shared", "-tags", abi), Isolation: isolation,
			Env: map[string]string{"A": "1"}, Args: []string{"x"}, Dirs: []host.Dir{{Host: dir, Guest: "/d"}},
		}
	}
	logger, log := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins: []host.Plugin{plugin("conn", ""), plugin("conn", "child"), plugin("http", ""), plugin("http", "child")},
		Listeners: []host.Listener{
			{Name: "conn", Protocol: host.TCP, Plugin: "conn"},
			{Name: "connchild", Protocol: host.TCP, Plugin: "connchild"},
			{Name: "web", Protocol: host.HTTP},
		},
		CacheDir: sharedCache(),
		Logger:   logger,
	})
	must(t, err)
	defer func() { must(t, h.Close()) }()
	for range 2 {
		for _, name := range []string{"conn", "connchild"} {
			if got, want := exchange(t, h, name, ""), `["`+name+`" "x"] ["A=1"] "text" <nil>`; got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"http", "httpchild"} {
			if status, got := request(t, h, "/"+name+"/"); status != 200 || got != `["`+name+`" "x"] ["A=1"] "text" <nil>` {
				t.Errorf("%s: %d %q", name, status, got)
			}
		}
	}
	if got := log.Take(); got != "" {
		t.Errorf("logged %q", got)
	}
}

func TestNothingIsGrantedByDefault(t *testing.T) {
	h, log := granted(t, host.Plugin{})
	for _, step := range [][2]string{
		{"env", "PROTO=TCP TCPREMOTEIP=127.0.0.1"},
		{"args", `["files"]`},
		{"read /etc/passwd", "Bad file number"},
		{"list /", "Bad file number"},
		{"write /tmp/x y", "Bad file number"},
	} {
		if got := exchange(t, h, "raw", step[0]+"\n"); !strings.HasPrefix(got, step[1]) {
			t.Errorf("%s: %q, want %q", step[0], got, step[1])
		}
	}
	for range 3 { // said once
		if got := exchange(t, h, "raw", "raw /etc/passwd\nraw etc/shadow\n"); got != "Bad file number\nBad file number\n" {
			t.Errorf("raw: %q", got)
		}
	}
	want := `level=WARN msg="guest was refused" generation=0 slot=0 plugin=files error="opened \"etc/passwd\": no files are granted; grant a folder with plugin.files.dirs"` + "\n"
	if got := log.Take(); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

func TestGrantsReachTheGuest(t *testing.T) {
	top := t.TempDir()
	for name, text := range map[string]string{"data/old": "old words", "read/only": "fixed", "secret": "secret"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(top, name), []byte(text), 0o600))
	}
	must(t, os.Symlink("../secret", filepath.Join(top, "data", "out")))
	h, log := granted(t, host.Plugin{
		Env: map[string]string{"B": "2", "A": "1 one", "PROTO": "mine"}, Arg0: "prog", Args: []string{"x", "${ARGS}"},
		Dirs: []host.Dir{{Host: filepath.Join(top, "data"), Guest: "/data", Write: true}, {Host: filepath.Join(top, "read"), Guest: "/srv/read"}},
	})
	if got := h.Plugins()[0].Grants; !strings.HasPrefix(got, "env A, B, PROTO; /data from "+top) || !strings.Contains(got, "(write); /srv/read from ") {
		t.Errorf("grants are %q", got)
	}
	for _, step := range [][2]string{
		{"args", `["prog" "x" "${ARGS}"]`},
		{"read /data/old", "old words"},
		{"write /data/new hello", "ok"},
		{"append /data/new !", "ok"},
		{"read /data/new", "hello!"},
		{"truncate /data/new", "ok"},
		{"times /data/new", "ok"},
		{"size /data/new", "2 1000000000"},
		{"mkdir /data/sub", "ok"},
		{"rename /data/new /data/sub/moved", "ok"},
		{"list /data", "[- old L out d sub/]"},
		{"symlink moved /data/sub/link", "ok"},
		{"read /data/sub/link", "he"},
		{"remove /data/sub", "Directory not empty"},
		{"remove /data/old", "ok"},
		{"read /srv/read/only", "fixed"},
		{"read /data/../secret", "Bad file number"},
		{"read /secret", "Bad file number"},
		{"read /data/out", "Operation not permitted"},
		{"raw ../secret", "Operation not permitted"},
		{"raw out", "Too many symbolic links"},
		{"symlink ../../etc /data/evil", "Operation not permitted"},
		{"write /srv/read/only x", "Read-only file system"},
		{"mkdir /srv/read/sub", "Read-only file system"},
		{"rename /data/sub/moved /srv/read/moved", "Not implemented on wasip1"},
		{"read /srv/read/only", "fixed"},
	} {
		if got := exchange(t, h, "raw", step[0]+"\n"); got != step[1]+"\n" {
			t.Errorf("%s: %q, want %q", step[0], got, step[1])
		}
	}
	if got := exchange(t, h, "raw", "env\n"); !strings.HasPrefix(got, "PROTO=TCP ") || !strings.HasSuffix(got, " A=1 one B=2\n") {
		t.Errorf("environment %q", got)
	}
	got := log.Take()
	for _, want := range []string{
		`opened \"/data/out\": it leads out of its folder`,
		`made or moved the link \"/data/evil\": it could lead others out of its folder; only relative links`,
		`changed \"/srv/read/only\": the folder is read only; add write = true to plugin.files.dirs`,
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("logged %q, want once %q", got, want)
		}
	}
	if n := strings.Count(got, "\n"); n != 3 {
		t.Errorf("%d lines logged: %s", n, got)
	}
}

func TestDescriptorsOfAGuestAreClosed(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	h, _ := granted(t, host.Plugin{Dirs: []host.Dir{{Host: dir, Guest: "/"}}})
	count := func() int {
		t.Helper()
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		n := 0
		for _, fd := range open { // sockets of the test itself come and go
			if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, dir) {
				n++
			}
		}
		return n
	}
	runs := 1000
	if testing.Short() {
		runs = 50
	}
	want := count()
	for n := range runs {
		ends := [...]string{"", "exit\n"}
		if got := exchange(t, h, "raw", "leak /file\n"+ends[n%2]); got != "ok\n" {
			t.Fatal(got)
		}
	}
	if got := count(); got != want || want != 1 {
		t.Errorf("%d descriptors, %d before %d runs, want 1", got, want, runs)
	}
}

// A folder is what was opened, whatever becomes of its name.
func TestAFolderIsOpenedOnce(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("mine"), 0o600))
	h, _ := granted(t, host.Plugin{Dirs: []host.Dir{{Host: dir, Guest: "/d"}}})
	must(t, os.Rename(dir, filepath.Join(top, "moved")))
	must(t, os.Symlink("/etc", dir))
	if got := exchange(t, h, "raw", "read /d/file\nlist /d\n"); got != "mine\n[- file]\n" {
		t.Errorf("got %q", got)
	}
}

func TestAFolderThatIsNotThereIsAFault(t *testing.T) {
	logger, _ := hosttest.Logger()
	p := plugin(t, "probe", probeFile)
	p.Dirs = []host.Dir{{Host: "/nowhere/a", Guest: "/a"}, {Host: "/nowhere/b", Guest: "/b"}}
	hello := plugin(t, "hello", helloFile)
	hello.Entrypoint = "handle_request"
	raw := host.Plugin{Name: "raw", Wasm: bareProgram, Entrypoint: "go"}
	_, err := host.New(t.Context(), host.Config{Plugins: []host.Plugin{p, hello, raw}, Logger: logger})
	want := `plugin.probe.dirs[0].host: the folder /nowhere/a cannot be used: no such file or directory; make it, or name another one
plugin.probe.dirs[1].host: the folder /nowhere/b cannot be used: no such file or directory; make it, or name another one
plugin.hello.entrypoint: the plugin speaks the http-wasm ABI, which has no entrypoint to choose: remove this
plugin.raw.entrypoint: raw.wasm exports no function "go"; it has: _start`
	if err == nil || err.Error() != want {
		t.Errorf("faults\n%v\nwant\n%s", err, want)
	}
}

// bareProgram is a program whose main does nothing: it exports memory and _start.
var bareProgram = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" + "\x0a\x04\x01\x02\x00\x0b")

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
