package httpwasm

import (
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/sdk/abi"
)

// Only what the client may have to be waited for is not the guest's time: its body,
// until that is at its end, and the response, when something of it is sent.
func TestOnlyWhatWaitsIsNotTheGuestsTime(t *testing.T) {
	for name, steps := range map[string][]struct {
		waits bool
		fn    string
		args  []uint32
	}{
		"reads to the end": {
			{true, "read_body", []uint32{abi.BodyRequest, 0, 3}},
			{true, "read_body", []uint32{abi.BodyRequest, 0, 3}},
			{false, "read_body", []uint32{abi.BodyRequest, 0, 3}},
		},
		"writes": {
			{false, "write_body", []uint32{abi.BodyResponse, 0, 3}}, // it is held back
			{true, "write_body", []uint32{abi.BodyResponse, 0, 3}},
			{true, "write_body", []uint32{abi.BodyResponse, 0, 3}},
			{false, "write_body", []uint32{abi.BodyResponse, 0, 0}},
		},
		"flushes": {
			{false, "write_body", []uint32{abi.BodyResponse, 0, 0}},
			{true, "write_body", []uint32{abi.BodyResponse, 0, 0}},
			{false, "write_body", []uint32{abi.BodyResponse, 0, 0}},
			{true, "write_body", []uint32{abi.BodyResponse, 0, 3}},
		},
		"writes the request": {
			{false, "write_body", []uint32{abi.BodyRequest, 0, 3}},
		},
		"holds back": {
			{false, "enable_features", []uint32{abi.FeatureBufferResponse}},
			{false, "write_body", []uint32{abi.BodyResponse, 0, 3}},
			{false, "write_body", []uint32{abi.BodyResponse, 0, 3}},
		},
	} {
		f, w := newForward(t, newFake("/", "body"), Settings{}), &hosttest.Waits{}
		f.s.Guard = guest.NewGuard(w, "forward", guest.NewLimits(time.Second, 0))
		for n, step := range steps {
			before := w.N
			f.do(step.fn, step.args...)
			if waited := w.N > before; waited != step.waits {
				t.Errorf("%s, call %d: waits %v, want %v", name, n, waited, step.waits)
			}
		}
	}
}
