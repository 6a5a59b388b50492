//go:build !wasip1

package tcp_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/apphost/apphost/sdk/abi"
)

// guestHost is the smallest host of the conn ABI: what it was called for ends
// up in log.
type guestHost struct {
	input   []any // what conn_read gives: a string or an abi.Errno
	clients int   // how many accept gives
	config  map[string]string
	log     strings.Builder
}

func (h *guestHost) read(_ context.Context, m api.Module, p, _ uint32) int32 {
	if len(h.input) == 0 {
		return 0
	}
	next := h.input[0]
	h.input = h.input[1:]
	if errno, failed := next.(abi.Errno); failed {
		return -int32(errno)
	}
	m.Memory().WriteString(p, next.(string))
	return int32(len(next.(string)))
}

func (h *guestHost) write(_ context.Context, m api.Module, p, n uint32) int32 {
	fmt.Fprintf(&h.log, "write %s\n", text(m, p, n))
	return int32(n)
}

func (h *guestHost) accept(context.Context) int32 {
	h.log.WriteString("accept\n")
	if h.clients--; h.clients < 0 {
		return -int32(abi.EIO)
	}
	return 0
}

func (h *guestHost) shutdown(context.Context, uint32) int32 {
	h.log.WriteString("shutdown\n")
	return 0
}

func (h *guestHost) setTimeout(_ context.Context, which, ms uint32) int32 {
	fmt.Fprintf(&h.log, "timeout %d of %d minutes\n", which, (ms+500)/60_000)
	return 0
}

func (h *guestHost) info(_ context.Context, m api.Module, key, p, limit uint32) int32 {
	return give(m, map[uint32]string{abi.InfoPeerAddr: "192.0.2.1:99", abi.InfoListener: "front"}[key], p, limit)
}

func (h *guestHost) configGet(_ context.Context, m api.Module, key, keyLen, p, limit uint32) int32 {
	value, found := h.config[text(m, key, keyLen)]
	if !found {
		return -int32(abi.ENOENT)
	}
	return give(m, value, p, limit)
}

func (h *guestHost) logLine(_ context.Context, m api.Module, level int32, p, n uint32) int32 {
	first, _, _ := strings.Cut(text(m, p, n), "\n")
	fmt.Fprintf(&h.log, "%d %s\n", level, first)
	return 0
}

func text(m api.Module, p, n uint32) string {
	b, _ := m.Memory().Read(p, n)
	return string(b)
}

func give(m api.Module, value string, p, limit uint32) int32 {
	if len(value) <= int(limit) {
		m.Memory().WriteString(p, value)
	}
	return int32(len(value))
}

// The package in WebAssembly, which is how it is used: calls, error numbers,
// values longer than the first buffer, logging, a panic.
func TestGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("building a guest takes seconds")
	}
	wasm := buildGuest(t, "guest", "c-shared")
	ctx := t.Context()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(ctx) }()
	host := new(guestHost)
	compiled := compile(t, runtime, host, wasm)

	long := map[string]string{"greeting": strings.Repeat("x", 1000)}
	tests := []struct {
		name     string
		function string
		host     guestHost
		want     string // result, then what the host was called for
	}{
		{"init", abi.ChildInit, guestHost{}, "0\n"},
		{"unusable", abi.ChildInit, guestHost{config: map[string]string{"unusable": "1"}}, "1\n2 told to be unusable\n"},
		{"echo", abi.ProcessConnection, guestHost{input: []any{"echo"}}, "0\nwrite echo\n"},
		{"end of stream", abi.ProcessConnection, guestHost{}, "0\n"},
		{"reset", abi.ProcessConnection, guestHost{input: []any{abi.ECONNRESET}}, "0\n"},
		{"broken pipe", abi.ProcessConnection, guestHost{input: []any{abi.EPIPE}}, "0\n"},
		{"timeout", abi.ProcessConnection, guestHost{input: []any{abi.ETIMEDOUT}}, "0\n"},
		{
			"deadline", abi.ProcessConnection,
			guestHost{input: []any{"deadline", abi.ETIMEDOUT}},
			"0\ntimeout 1 of 60 minutes\n",
		},
		{
			"names of errors", abi.ProcessConnection,
			guestHost{input: []any{"errors", abi.ECONNRESET, abi.ETIMEDOUT, abi.EIO}},
			"0\n0 reset true, timeout false: read tcp 192.0.2.1:99: Connection reset by peer\n" +
				"0 reset false, timeout true: read tcp 192.0.2.1:99: i/o timeout\n" +
				"2 read tcp 192.0.2.1:99: I/O error\n",
		},
		{
			"log", abi.ProcessConnection,
			guestHost{input: []any{"log"}, config: long},
			"0\n1 careful n=3\n0 facts greeting=1000 found=true peer=192.0.2.1:99 info=\"{ID: Listener:front ServerName: ALPN:}\"\n",
		},
		{
			"room", abi.ProcessConnection,
			guestHost{input: []any{"room"}},
			"0\n0 heap grown=0\n",
		},
		{
			"panic", abi.ProcessConnection,
			guestHost{input: []any{"panic"}},
			"wasm error: unreachable\n2 panic: assignment to entry in nil map\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			*host = guestHost{input: test.host.input, config: test.host.config}
			guest, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().
				WithName("").WithStartFunctions(abi.Initialize).WithSysWalltime().WithSysNanotime())
			if err != nil {
				t.Fatal(err)
			}
			result, err := guest.ExportedFunction(test.function).Call(ctx)
			got := ""
			if err != nil {
				got, _, _ = strings.Cut(err.Error(), "\n")
			} else {
				got = fmt.Sprint(result[0])
			}
			if got += "\n" + host.log.String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// compile makes the host functions, which are those of h, and the module.
func compile(t *testing.T, runtime wazero.Runtime, h *guestHost, wasm []byte) wazero.CompiledModule {
	t.Helper()
	wasi_snapshot_preview1.MustInstantiate(t.Context(), runtime)
	module := runtime.NewHostModuleBuilder(abi.ConnModule)
	for name, f := range map[string]any{
		abi.ConnRead: h.read, abi.ConnWrite: h.write, abi.ConnInfo: h.info,
		abi.Accept: h.accept, abi.ConnShutdown: h.shutdown, abi.ConnSetTimeout: h.setTimeout, abi.ConfigGet: h.configGet, abi.Log: h.logLine,
	} {
		module.NewFunctionBuilder().WithFunc(f).Export(name)
	}
	if _, err := module.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	compiled, err := runtime.CompileModule(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func buildGuest(t *testing.T, name, mode string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode="+mode, "-o", out, "./testdata/"+name)
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
