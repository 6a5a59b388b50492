package conn

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/sdk/abi"
)

// forward is an instance of the guest that passes on any numbers, with the
// session it runs in.
type forward struct {
	t testing.TB
	s *session
	i *guest.Instance
}

// name is a connection's.
type name string

func (n name) String() string { return string(n) }

// newForward makes one, with a connection or nil.
func newForward(t testing.TB, c *hosttest.Conn, set Settings) *forward {
	t.Helper()
	p := newPlugin(t, "forward", set)
	s := &session{Context: t.Context(), plugin: p, id: name("g7-s3-42")}
	i, err := p.pool.Get(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.pool.Put(i, guest.Returned) })
	if c != nil {
		s.conn = c
	}
	return &forward{t, s, i}
}

func newPlugin(t testing.TB, name string, set Settings) *Plugin {
	t.Helper()
	r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{ABI(), ServerABI()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	wasm, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), guest.Source{Name: name, Wasm: wasm})
	if err != nil {
		t.Fatal(err)
	}
	if set.Logger == nil {
		set.Logger, _ = hosttest.Logger()
	}
	return New(m, set)
}

// call calls a host function through the guest. The upper halves of the
// parameters are garbage, as the engine may leave there.
func (f *forward) call(fn string, args ...uint32) int32 {
	f.t.Helper()
	result, err := f.try(fn, args...)
	if err != nil {
		f.t.Fatalf("%s%v: %v", fn, args, err)
	}
	return result
}

func (f *forward) try(fn string, args ...uint32) (int32, error) {
	stack := make([]uint64, max(1, len(args)))
	for i, a := range args {
		stack[i] = 0xdead_beef<<32 | uint64(a)
	}
	err := f.i.Call(f.s, fn, stack)
	return int32(stack[0]), err
}

func (f *forward) want(want int32, fn string, args ...uint32) {
	f.t.Helper()
	if got := f.call(fn, args...); got != want {
		f.t.Errorf("%s%v = %d, want %d", fn, args, got, want)
	}
}

func (f *forward) bytes(at, n uint32) []byte {
	b, ok := f.i.Memory().Bytes(at, n)
	if !ok {
		f.t.Fatalf("no %d bytes at %d", n, at)
	}
	return b
}

func (f *forward) poke(at uint32, text string) { copy(f.bytes(at, uint32(len(text))), text) }

func (f *forward) peek(at, n uint32) string { return string(f.bytes(at, n)) }

const (
	einval    = -int32(abi.EINVAL)
	efault    = -int32(abi.EFAULT)
	memoryEnd = 64 << 10
)

func TestWithoutAConnectionThereIsOnlyConfigAndLog(t *testing.T) {
	f := newForward(t, nil, Settings{})
	f.want(-53, "conn_read", 0, 1)
	f.want(-53, "conn_write", 0, 1)
	f.want(-53, "conn_shutdown", 1)
	f.want(-53, "conn_info", 1, 0, 10)
	f.want(-53, "conn_set_timeout", 1, 10)
	f.want(-44, "config_get", 0, 1, 0, 0)
	f.want(0, "log", 0, 0, 0)
	f.want(0, "stopping")
}

func TestConfigGetNeverWritesAValueThatDoesNotFit(t *testing.T) {
	f := newForward(t, nil, Settings{
		Config:     map[string]string{"greeting": "hello", "empty": ""},
		ConfigJSON: []byte(`{"greeting":"hello"}`),
	})
	f.poke(0, "greetingempty")
	f.want(5, "config_get", 0, 8, 100, 0)
	f.want(5, "config_get", 0, 8, 100, 4)
	if got := f.peek(100, 5); got != "\x00\x00\x00\x00\x00" {
		t.Errorf("wrote %q", got)
	}
	f.want(5, "config_get", 0, 8, 100, 5)
	if got := f.peek(100, 6); got != "hello\x00" {
		t.Errorf("wrote %q", got)
	}
	f.want(5, "config_get", 0, 8, memoryEnd-5, 1000) // only what is written must fit
	f.want(efault, "config_get", 0, 8, memoryEnd-4, 5)
	f.want(5, "config_get", 0, 8, ^uint32(0), 4)
	f.want(0, "config_get", 8, 5, ^uint32(0), 100)
	f.want(-44, "config_get", 0, 7, 100, 100)
	f.want(efault, "config_get", memoryEnd-1, 2, 100, 100)
	f.want(efault, "config_get", 1, ^uint32(0), 100, 100)
	f.want(20, "config_get", 0, 0, 100, 100)
	if got := f.peek(100, 20); got != `{"greeting":"hello"}` {
		t.Errorf("all of it: %q", got)
	}
}

func TestLogIsLevelledBoundedAndSafe(t *testing.T) {
	logger, log := hosttest.Logger()
	f := newForward(t, nil, Settings{Logger: logger})
	f.poke(0, "a\xffb")
	for level, name := range map[int32]string{-1: "DEBUG", 0: "INFO", 1: "WARN", 2: "ERROR"} {
		f.want(0, "log", uint32(level), 0, 3)
		if got, want := log.Take(), "level="+name+" msg=\"guest log\" text=\"a\uFFFDb\"\n"; got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
	f.want(einval, "log", 3, 0, 1)
	f.want(einval, "log", ^uint32(1), 0, 1)
	f.want(efault, "log", 0, memoryEnd, 1)
	if got := log.Take(); got != "" {
		t.Errorf("logged %q", got)
	}
	f.want(0, "log", 0, 0, memoryEnd)
	if got := log.Take(); len(got) > 8*abi.LogBytesMax || !strings.Contains(got, "…") {
		t.Errorf("logged %d bytes", len(got))
	}
}
