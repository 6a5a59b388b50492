package command_test

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"os"
	"testing"

	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
)

// What a program makes of a body that breaks off is the client's doing, also if it
// traps: the log has no error of it.
func TestABrokenBodyIsNoFailureOfTheProgram(t *testing.T) {
	wasm, err := os.ReadFile("testdata/traps.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, log := load(t, wasm)
	address := hosttest.Serve(t, web.New(web.Config{Mounts: []web.Mount{{Path: "/", Handler: p.At("/")}}}).ServeConn)
	const chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		request string
		status  int
	}{{chunked + "1\r\na\r\n0\r\n\r\n", 200}, {chunked + "x\r\n", 400}} {
		if res, _, _ := ask(t, address, test.request); res.StatusCode != test.status {
			t.Errorf("%q: status %d, want %d", test.request, res.StatusCode, test.status)
		}
		if got := log.Take(); got != "" {
			t.Errorf("%q: logged %s", test.request, got)
		}
	}
}
