package httpwasm

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/sdk/abi"
)

const memoryEnd = 64 << 10

func newPlugin(t testing.TB, name string, set Settings) *Plugin {
	t.Helper()
	r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{ABI()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	wasm, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), guest.Source{Name: name, Wasm: wasm, MemoryLimitBytes: 2 << 16})
	if err != nil {
		t.Fatal(err)
	}
	if set.Logger == nil {
		set.Logger, _ = hosttest.Logger()
	}
	return New(m, set)
}

// forward is the guest that passes on any numbers, in a request.
type forward struct {
	t testing.TB
	s *session
	i *guest.Instance
}

func newForward(t testing.TB, x exchange.Exchange, set Settings) *forward {
	t.Helper()
	p := newPlugin(t, "forward", set)
	i, err := p.pool.Get(&session{Context: t.Context(), plugin: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.pool.Put(i, guest.Returned) })
	return &forward{t, &session{Context: t.Context(), plugin: p, x: x, phase: inRequest}, i}
}

// call calls a host function through the guest. The upper halves of the
// parameters are garbage, as the engine may leave there.
func (f *forward) call(fn string, args ...uint32) (uint64, error) {
	stack := make([]uint64, max(1, len(args)))
	for i, a := range args {
		stack[i] = 0xdead_beef<<32 | uint64(a)
	}
	err := f.i.Call(f.s, fn, stack)
	if !strings.HasPrefix(fn, "get_header") && fn != "read_body" { // an i32
		stack[0] &= 0xffff_ffff
	}
	return stack[0], err
}

func (f *forward) do(fn string, args ...uint32) {
	f.t.Helper()
	if _, err := f.call(fn, args...); err != nil {
		f.t.Errorf("%s%v: %v", fn, args, err)
	}
}

func (f *forward) want(want uint64, fn string, args ...uint32) {
	f.t.Helper()
	if got, err := f.call(fn, args...); got != want || err != nil {
		f.t.Errorf("%s%v = %#x, %v; want %#x", fn, args, got, err, want)
	}
}

// refused wants the guest to end for a misuse.
func (f *forward) refused(cause, fn string, args ...uint32) {
	f.t.Helper()
	_, err := f.call(fn, args...)
	fail, ok := errors.AsType[*guest.Failure](err)
	if want := fn + " misused the host: " + fn + ": " + cause; !ok || fail.Kind != guest.Refused || fail.Error() != want {
		f.t.Errorf("%s%v: %v, want %s", fn, args, err, want)
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
	outside = "the buffer is outside the memory"
	noNext  = "the next handler has already run"
)

func TestAGetterNeverWritesAValueThatDoesNotFit(t *testing.T) {
	f := newForward(t, newFake("/a?b", ""), Settings{ConfigJSON: []byte(`{"a":1}`)})
	for fn, want := range map[string]string{
		"get_method": "POST", "get_uri": "/a?b", "get_protocol_version": "HTTP/1.1",
		"get_source_addr": "192.0.2.1:1234", "get_config": `{"a":1}`,
	} {
		n := uint32(len(want))
		clear(f.bytes(0, 100))
		f.want(uint64(n), fn, 0, n-1)
		f.want(uint64(n), fn, ^uint32(0), n-1)
		if got := f.peek(0, n); strings.Trim(got, "\x00") != "" {
			t.Errorf("%s wrote %q", fn, got)
		}
		f.want(uint64(n), fn, 0, n)
		if got := f.peek(0, n+1); got != want+"\x00" {
			t.Errorf("%s wrote %q", fn, got)
		}
		f.want(uint64(n), fn, memoryEnd-n, ^uint32(0))
		f.refused(outside, fn, memoryEnd-n+1, n)
	}
}

func TestHeaderListsAreCountedAndEndWithNUL(t *testing.T) {
	x := newFake("/", "")
	f := newForward(t, x, Settings{})
	for kind := range uint32(2) {
		f.poke(0, "aaabbvw")
		f.want(0, "get_header_names", kind, 100, 100)
		f.do("set_header_value", kind, 0, 3, 5, 1)
		f.do("add_header_value", kind, 0, 3, 6, 1)
		f.do("set_header_value", kind, 3, 2, 0, 0)
		f.want(2<<32|7, "get_header_names", kind, 100, 6)
		f.want(2<<32|7, "get_header_names", kind, 100, 7)
		if got := f.peek(100, 7); got != "aaa\x00bb\x00" {
			t.Errorf("names %q", got)
		}
		f.want(2<<32|4, "get_header_values", kind, 0, 3, 100, 4)
		if got := f.peek(100, 4); got != "v\x00w\x00" {
			t.Errorf("values %q", got)
		}
		f.want(1<<32|1, "get_header_values", kind, 3, 2, 100, 4)
		f.want(0, "get_header_values", kind, 0, 1, 100, 4)
		f.do("remove_header", kind, 0, 3)
		f.want(1<<32|3, "get_header_names", kind, 100, 100)
		f.refused("the header name is empty", "get_header_values", kind, 0, 0, 100, 4)
		f.refused(outside, "set_header_value", kind, memoryEnd, 1, 0, 1)
		f.refused(outside, "add_header_value", kind, 0, 1, memoryEnd-1, 2)
		f.refused(outside, "remove_header", kind, 1, ^uint32(0))
	}
	f.poke(0, "a\r\nb")
	f.refused(exchange.ErrInvalid.Error(), "set_header_value", 1, 0, 1, 1, 2)
	f.refused("unknown kind of header", "get_header_names", 4, 0, 0)
	f.want(0, "get_header_names", 2, 0, 0)
	f.want(0, "get_header_values", 3, 0, 1, 0, 0)
	f.refused("trailers are not enabled", "set_header_value", 3, 0, 1, 3, 1)
	f.want(4, "enable_features", 4)
	f.do("set_header_value", 3, 0, 1, 3, 1)
	f.want(1<<32|2, "get_header_names", 3, 0, 100)
}

func TestFeaturesAddUpAndUnknownOnesAreNotThere(t *testing.T) {
	f := newForward(t, newFake("/", ""), Settings{})
	f.want(0, "enable_features", 0)
	f.want(1, "enable_features", 1)
	f.want(7, "enable_features", ^uint32(0))
}

func TestTheRequestLineCanBeChangedButNotBroken(t *testing.T) {
	x := newFake("/", "")
	f := newForward(t, x, Settings{})
	f.poke(0, "PUT /x y")
	f.do("set_method", 0, 3)
	f.do("set_uri", 4, 2)
	if x.method != "PUT" || x.uri != "/x" {
		t.Errorf("%s %s", x.method, x.uri)
	}
	f.do("set_uri", 4, 0)
	if x.uri != "/" {
		t.Errorf("uri %q", x.uri)
	}
	f.refused("not a valid method", "set_method", 0, 4)
	f.refused("not a valid method", "set_method", 0, 0)
	f.refused("not a valid request target", "set_uri", 4, 4)
	f.refused(outside, "set_uri", memoryEnd, 1)
}

func TestReadBodyTellsTheEnd(t *testing.T) {
	x := newFake("/", "")
	x.body = iotest.DataErrReader(strings.NewReader("hello"))
	f := newForward(t, x, Settings{})
	f.want(3, "read_body", 0, 100, 3)
	f.want(1<<32|2, "read_body", 0, 103, 3)
	f.want(1<<32, "read_body", 0, 103, 3)
	if got := f.peek(100, 5); got != "hello" {
		t.Errorf("read %q", got)
	}
	f.refused("the buffer is empty", "read_body", 0, 0, 0)
	f.refused(outside, "read_body", 0, memoryEnd-1, 2)
	f.refused("unknown kind of body", "read_body", 2, 0, 1)
	f.refused("no response is buffered", "read_body", 1, 0, 1)
	x.body = iotest.ErrReader(errGone)
	f.refused(errGone.Error(), "read_body", 0, 0, 1)
}

func TestWriteBodyReplacesThenAppends(t *testing.T) {
	x := newFake("/", "old")
	f := newForward(t, x, Settings{})
	f.poke(0, "hello")
	f.do("write_body", 0, 0, 2)
	f.do("write_body", 0, 2, 3)
	f.want(1<<32|5, "read_body", 0, 100, 10)
	if got := f.peek(100, 5); got != "hello" {
		t.Errorf("the request's body is %q", got)
	}
	f.do("write_body", 1, 0, 4)
	f.do("write_body", 1, 4, 1)
	f.do("write_body", 1, 4, 0)
	if got := x.out.String(); got != "hello" {
		t.Errorf("the response's body is %q", got)
	}
	f.refused("unknown kind of body", "write_body", 2, 0, 0)
	f.refused(outside, "write_body", 1, 1, ^uint32(0))
	f.do("write_body", 0, 0, memoryEnd)
	f.refused("the buffered bodies are over the memory limit", "write_body", 0, 0, memoryEnd)
	f.s.features = abi.FeatureBufferResponse // the limit is for both together
	f.refused("the buffered bodies are over the memory limit", "write_body", 1, 0, memoryEnd)
	f.s.features = 0
	x.writeErr = errGone
	f.refused(errGone.Error(), "write_body", 1, 0, 1)
}

func TestABodyThatIsTooLongToBeKeptIsNotTheClientsFault(t *testing.T) {
	x := newFake("/", "")
	x.body = zeros{}
	f := newForward(t, x, Settings{}) // with two pages
	f.s.features = abi.FeatureBufferRequest
	f.want(memoryEnd, "read_body", 0, 0, memoryEnd)
	f.want(memoryEnd, "read_body", 0, 0, memoryEnd)
	for range 2 { // what was lost stays lost
		f.refused(errTooMuchHeld.Error(), "read_body", 0, 0, 1)
	}
	if f.s.ioErr != nil {
		t.Errorf("the client is blamed: %v", f.s.ioErr)
	}
}

func TestStatus(t *testing.T) {
	x := newFake("/", "")
	f := newForward(t, x, Settings{})
	f.want(200, "get_status_code")
	f.do("set_status_code", 404)
	f.want(404, "get_status_code")
	for _, code := range []uint32{0, 100, 199, 1000, ^uint32(0)} {
		f.refused("not a final status code", "set_status_code", code)
	}
	x.sent = true
	f.refused(exchange.ErrSent.Error(), "set_status_code", 200)
	f.poke(0, "a")
	f.refused(exchange.ErrSent.Error(), "set_header_value", 1, 0, 1, 0, 1)
}

func TestAfterTheNextHandlerOnlyBufferedThingsCanChange(t *testing.T) {
	f := newForward(t, newFake("/", "body"), Settings{})
	f.s.phase = inResponse
	f.poke(0, "a")
	f.refused(noNext, "set_method", 0, 1)
	f.refused(noNext, "set_uri", 0, 1)
	f.refused(noNext, "set_header_value", 0, 0, 1, 0, 1)
	f.refused(noNext, "set_header_value", 1, 0, 1, 0, 1)
	f.refused(noNext, "set_status_code", 200)
	f.refused(noNext, "write_body", 0, 0, 1)
	f.refused(noNext, "write_body", 1, 0, 1)
	f.refused(noNext, "read_body", 0, 0, 1)
	f.want(200, "get_status_code")
	f.want(4, "enable_features", 7) // too late for what should have been held back
	f.s.features = 3
	f.do("set_header_value", 1, 0, 1, 0, 1)
	f.do("set_status_code", 201)
	f.do("read_body", 0, 0, 10)
	f.do("write_body", 1, 0, 1)
}

func TestWithoutARequestThereIsOnlyConfigLogAndFeatures(t *testing.T) {
	f := newForward(t, nil, Settings{ConfigJSON: []byte("{}")})
	f.s.phase = preparing
	f.poke(0, "a")
	for fn, args := range map[string][]uint32{
		"get_method": {0, 9}, "set_method": {0, 1}, "get_uri": {0, 9}, "set_uri": {0, 1},
		"get_protocol_version": {0, 9}, "get_source_addr": {0, 9},
		"get_header_names": {0, 0, 9}, "get_header_values": {0, 0, 1, 0, 9},
		"set_header_value": {0, 0, 1, 0, 1}, "add_header_value": {0, 0, 1, 0, 1}, "remove_header": {0, 0, 1},
		"read_body": {0, 0, 1}, "write_body": {0, 0, 1}, "get_status_code": nil, "set_status_code": {200},
	} {
		f.refused("there is no request yet", fn, args...)
	}
	f.want(2, "get_config", 0, 9)
	f.want(1, "enable_features", 1)
	f.want(1, "log_enabled", 0)
	f.want(0, "log_enabled", 3)
	f.do("log", 0, 0, 1)
	f.do("log", 3, 0, 1)
	f.do("log", 4, 0, 1)
	f.refused(outside, "log", 0, memoryEnd, 1)
}
