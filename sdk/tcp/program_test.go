//go:build !wasip1

package tcp_test

import (
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/tcp"
)

// A program in WebAssembly that accepts connections itself, one after the other or
// each in a goroutine.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("building a guest takes seconds")
	}
	ctx := t.Context()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = runtime.Close(ctx) }()
	host := new(guestHost)
	compiled := compile(t, runtime, host, buildGuest(t, "program", "exe"))
	for name, config := range map[string]map[string]string{"accept": nil, "listen": {"listen": ""}} {
		t.Run(name, func(t *testing.T) {
			*host = guestHost{clients: 3, config: config}
			_, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().
				WithName("").WithStartFunctions(abi.Start).WithSysWalltime().WithSysNanotime())
			if err != nil {
				t.Error(err)
			}
			want := `accept
write 192.0.2.1:99, you are 1
shutdown
accept
0 the one before is closed: true
write 192.0.2.1:99, you are 2
shutdown
accept
0 the one before is closed: true
write 192.0.2.1:99, you are 3
shutdown
accept
0 accept tcp: I/O error
`
			if got := host.log.String(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestThereIsNothingToAcceptOutsideAPlugin(t *testing.T) {
	if _, err := tcp.Accept(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
