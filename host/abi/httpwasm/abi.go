package httpwasm

import (
	"context"
	"errors"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// Name is what the ABI is called.
const Name = "http-wasm"

// ABI describes the http-wasm ABI to the engine.
func ABI() guest.ABI {
	return guest.ABI{
		Name:         Name,
		ImportModule: abi.HTTPModule,
		Funcs: []guest.HostFunc{
			hostFunc(abi.EnableFeatures, "i", "i", enableFeatures),
			hostFunc(abi.GetConfig, "ii", "i", getConfig),
			hostFunc(abi.LogEnabled, "i", "i", logEnabled),
			hostFunc(abi.HTTPLog, "iii", "", guestLog),
			hostFunc(abi.GetMethod, "ii", "i", getMethod),
			hostFunc(abi.SetMethod, "ii", "", setMethod),
			hostFunc(abi.GetURI, "ii", "i", getURI),
			hostFunc(abi.SetURI, "ii", "", setURI),
			hostFunc(abi.GetProtocol, "ii", "i", getProtocol),
			hostFunc(abi.GetSourceAddr, "ii", "i", getSourceAddr),
			hostFunc(abi.GetHeaderNames, "iii", "I", getHeaderNames),
			hostFunc(abi.GetHeaderValues, "iiiii", "I", getHeaderValues),
			hostFunc(abi.SetHeaderValue, "iiiii", "", setHeaderValue),
			hostFunc(abi.AddHeaderValue, "iiiii", "", addHeaderValue),
			hostFunc(abi.RemoveHeader, "iii", "", removeHeader),
			hostFunc(abi.ReadBody, "iii", "I", readBody),
			hostFunc(abi.WriteBody, "iii", "", writeBody),
			hostFunc(abi.GetStatusCode, "", "i", getStatusCode),
			hostFunc(abi.SetStatusCode, "i", "", setStatusCode),
		},
		Required: []guest.ExportFunc{{Name: abi.HandleRequest, Type: guest.Signature("", "I")}},
		Optional: []guest.ExportFunc{{Name: abi.HandleResponse, Type: guest.Signature("ii", "")}},
	}
}

// call is one call of a host function.
type call struct {
	s     *session
	name  string
	mem   guest.Memory
	stack []uint64
}

// hostFunc adapts a function of this package. Its result is ignored if the
// ABI's function has none.
func hostFunc(name, params, results string, fn func(call) uint64) guest.HostFunc {
	return guest.HostFunc{
		Name: name,
		Type: guest.Signature(params, results),
		Call: func(ctx context.Context, mem guest.Memory, stack []uint64) {
			c := call{sessionOf(ctx), name, mem, stack}
			result := fn(c)
			if results != "" {
				stack[0] = result
			}
		},
	}
}

// arg is the n-th parameter. The upper half of a slot is garbage.
func (c call) arg(n int) uint32 { return uint32(c.stack[n]) }

// bytes is the guest's buffer at the n-th parameter, whose length is the next
// one. The guest ends if that is not inside its memory. Nothing is anywhere: an
// empty slice of a guest may point outside.
func (c call) bytes(n int) []byte {
	if c.arg(n+1) == 0 {
		return nil
	}
	p, ok := c.mem.Bytes(c.arg(n), c.arg(n+1))
	if !ok {
		c.abort("the buffer is outside the memory")
	}
	return p
}

// ioFailed ends the guest because a body could not be read or written. If that is
// the client's doing, it is not the guest's failure.
func (c call) ioFailed(err error) {
	c.s.EndOvertime()
	if !errors.Is(err, errTooMuchHeld) && !errors.Is(err, exchange.ErrLength) {
		c.s.ioErr = err
	}
	c.abort(err.Error())
}

// abort ends the guest for a misuse of the function.
func (c call) abort(cause string) {
	guest.Abort("%s: %s", c.name, cause)
}

// put is the end of every getter: value goes to the buffer at the n-th
// parameter if it is not longer than the next one says. The result is its
// length.
func (c call) put(n int, value []byte) uint64 {
	length := uint64(len(value))
	if length == 0 || length > uint64(c.arg(n+1)) {
		return length
	}
	buf, ok := c.mem.Bytes(c.arg(n), uint32(length))
	if !ok {
		c.abort("the buffer is outside the memory")
	}
	copy(buf, value)
	return length
}
