package httpwasm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// name is a connection's.
type name string

func (n name) String() string { return string(n) }

func TestEachRequestHasAFreshGuest(t *testing.T) {
	logger, log := hosttest.Logger()
	p := newPlugin(t, "hello", Settings{Logger: logger.With("plugin", "hello")})
	ctx := guest.WithConnection(t.Context(), name("g7-s3-42"), nil)
	for range 3 {
		x := newFake("/", "")
		if err := p.Serve(ctx, x); err != nil {
			t.Fatal(err)
		}
		if got := x.out.String(); got != "hello 1\n" || x.status != 200 {
			t.Errorf("answer %d %q", x.status, got)
		}
		if got := x.headers[exchange.Response].values["Content-Type"]; len(got) != 1 || got[0] != "text/plain" {
			t.Errorf("content type %q", got)
		}
		err := p.Serve(ctx, newFake("/trap!", ""))
		if err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("error %v", err)
		}
		want := `level=ERROR msg="guest failed" plugin=hello connection=g7-s3-42 error="handle_request trapped: wasm error: unreachable" stack=`
		if got := log.Take(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
}

func TestNextIsNotFoundAndHandleResponseSeesIt(t *testing.T) {
	for _, test := range []struct {
		uri, body string
		status    int
		fails     string
	}{
		{"/plain", "404 Not Found\n", 404, ""},
		{"/b", "got: 404 Not Found\n", 200, ""},
		{"/s", "404 Not Found\n", 404, noNext},
		{"/w", "/", 200, errAnsweredTwice.Error()},
		{"/e", "404 Not Found\n", 404, noNext}, // enables buffering when it is too late
	} {
		x := newFake(test.uri, "")
		err := newPlugin(t, "next", Settings{}).Serve(t.Context(), x)
		if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s: %v, want %q", test.uri, err, test.fails)
		}
		if got := x.out.String(); got != test.body || x.status != test.status {
			t.Errorf("%s: %d %q, want %d %q", test.uri, x.status, got, test.status, test.body)
		}
	}
}

func TestAClientThatWentAwayIsNoErrorOfTheGuest(t *testing.T) {
	logger, log := hosttest.Logger()
	x := newFake("/", "")
	x.writeErr = errGone
	if err := newPlugin(t, "hello", Settings{Logger: logger}).Serve(t.Context(), x); err == nil {
		t.Error("no error")
	}
	if got, want := log.Take(), "level=DEBUG msg=\"client went away\" error=\"client is gone\"\n"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// One that writes more than it has promised fails itself.
func TestAWrongLengthIsAnErrorOfTheGuest(t *testing.T) {
	logger, log := hosttest.Logger()
	x := newFake("/", "")
	x.writeErr = fmt.Errorf("%w: for a test", exchange.ErrLength)
	if err := newPlugin(t, "hello", Settings{Logger: logger}).Serve(t.Context(), x); err == nil {
		t.Error("no error")
	}
	if got := log.Take(); !strings.HasPrefix(got, "level=ERROR msg=\"guest failed\"") || !strings.Contains(got, "for a test") {
		t.Errorf("logged %q", got)
	}
	short := &measured{newFake("/", ""), x.writeErr}
	if err := newPlugin(t, "hello", Settings{Logger: logger}).Serve(t.Context(), short); !errors.Is(err, exchange.ErrLength) {
		t.Errorf("error %v", err)
	}
	if got := log.Take(); !strings.HasPrefix(got, "level=ERROR msg=\"guest failed\"") || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q", got)
	}
}

// measured is an exchange whose response has a wrong length.
type measured struct {
	*fake
	err error
}

func (m *measured) LengthError() error { return m.err }

// FuzzHTTPWasmPointers passes any numbers to each host function. Each call
// must return or end the guest as a misuse, and change nothing outside the
// buffer that it was given.
func FuzzHTTPWasmPointers(f *testing.F) {
	type function struct {
		name   string
		params int
		ptr    int // the parameter that is the buffer, its length follows; -1 without
	}
	functions := []function{
		{"enable_features", 1, -1},
		{"get_config", 2, 0},
		{"log_enabled", 1, -1},
		{"log", 3, -1},
		{"get_method", 2, 0},
		{"set_method", 2, -1},
		{"get_uri", 2, 0},
		{"set_uri", 2, -1},
		{"get_protocol_version", 2, 0},
		{"get_source_addr", 2, 0},
		{"get_header_names", 3, 1},
		{"get_header_values", 5, 3},
		{"set_header_value", 5, -1},
		{"add_header_value", 5, -1},
		{"remove_header", 3, -1},
		{"read_body", 3, 1},
		{"write_body", 3, -1},
		{"get_status_code", 0, -1},
		{"set_status_code", 1, -1},
	}
	for n := range functions {
		for _, v := range []uint32{0, 1, memoryEnd - 1, memoryEnd, 1 << 31, ^uint32(0)} {
			f.Add(byte(n), byte(n), v, v, v, v, v)
			f.Add(byte(n), byte(0), v&1, uint32(0), uint32(1), v, uint32(9))
		}
	}
	fw := newForward(f, nil, Settings{ConfigJSON: []byte("{}")})
	f.Fuzz(func(t *testing.T, n, phase byte, a, b, c, d, e uint32) {
		fn := functions[int(n)%len(functions)]
		args := []uint32{a, b, c, d, e}[:fn.params]
		x := newFake("/", "body")
		_ = x.headers[0].Add([]byte("\x01"), []byte("value"))
		fw.s.x, fw.s.phase, fw.s.request = x, inRequest, nil
		if phase%2 == 1 {
			fw.s.phase, fw.s.response = inResponse, &buffer{data: []byte("response")}
		}
		if _, err := fw.call(fn.name, args...); err != nil && !strings.Contains(err.Error(), "misused the host") {
			t.Fatalf("%s%v: %v", fn.name, args, err)
		}
		lo, hi := uint64(0), uint64(0)
		if fn.ptr >= 0 {
			lo = uint64(args[fn.ptr])
			hi = lo + uint64(args[fn.ptr+1])
		}
		mem := fw.bytes(0, memoryEnd)
		for at, v := range mem {
			if v != 0 && (uint64(at) < lo || uint64(at) >= hi) {
				t.Fatalf("%s%v changed the byte at %#x", fn.name, args, at)
			}
			mem[at] = 0
		}
	})
}
