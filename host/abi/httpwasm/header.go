package httpwasm

import (
	"bytes"
	"errors"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/sdk/abi"
)

// block is the header block of the kind in the first parameter.
func (c call) block() exchange.Header {
	kind := c.arg(0)
	if kind > abi.HeaderResponseTrailers {
		c.abort("unknown kind of header")
	}
	x := c.exchange()
	if kind >= abi.HeaderRequestTrailers && c.s.features&abi.FeatureTrailers == 0 {
		return hiddenTrailers{}
	}
	return x.Header(exchange.Kind(kind))
}

// hiddenTrailers are trailers for a guest that has not enabled them: there are
// none, and none can be set.
type hiddenTrailers struct{}

var errTrailers = errors.New("trailers are not enabled")

func (hiddenTrailers) Names(func([]byte) bool)          {}
func (hiddenTrailers) Values([]byte, func([]byte) bool) {}
func (hiddenTrailers) Set(_, _ []byte) error            { return errTrailers }
func (hiddenTrailers) Add(_, _ []byte) error            { return errTrailers }
func (hiddenTrailers) Remove([]byte) error              { return errTrailers }

// blockToChange is like block, for a change: requests can be changed before
// the next handler, responses also after it if they are buffered.
func (c call) blockToChange() exchange.Header {
	switch c.arg(0) {
	case abi.HeaderRequest, abi.HeaderRequestTrailers:
		c.beforeNext()
	default:
		c.beforeNextOr(abi.FeatureBufferResponse)
	}
	return c.block()
}

// getHeaderNames implements abi.GetHeaderNames. The ABI wants lower case.
func getHeaderNames(c call) uint64 {
	block := c.block()
	return c.putList(1, func(yield func([]byte) bool) {
		block.Names(func(name []byte) bool { return yield(bytes.ToLower(name)) })
	})
}

// getHeaderValues implements abi.GetHeaderValues.
func getHeaderValues(c call) uint64 {
	name := c.name1()
	block := c.block()
	return c.putList(3, func(yield func([]byte) bool) { block.Values(name, yield) })
}

// putList collects values, each ended by NUL, and puts them at the n-th
// parameter. The result is count<<32 | length.
func (c call) putList(n int, values func(yield func([]byte) bool)) uint64 {
	list, count := c.s.scratch[:0], uint64(0)
	values(func(value []byte) bool {
		list = append(append(list, value...), 0)
		count++
		return true
	})
	c.s.scratch = list
	return count<<32 | c.put(n, list)
}

// setHeaderValue implements abi.SetHeaderValue.
func setHeaderValue(c call) uint64 {
	c.changed(c.blockToChange().Set(c.name1(), c.bytes(3)))
	return 0
}

// addHeaderValue implements abi.AddHeaderValue.
func addHeaderValue(c call) uint64 {
	c.changed(c.blockToChange().Add(c.name1(), c.bytes(3)))
	return 0
}

// removeHeader implements abi.RemoveHeader.
func removeHeader(c call) uint64 {
	c.changed(c.blockToChange().Remove(c.name1()))
	return 0
}

// name1 is the header name that begins at the second parameter.
func (c call) name1() []byte {
	name := c.bytes(1)
	if len(name) == 0 {
		c.abort("the header name is empty")
	}
	return name
}

// changed ends the guest if a change was refused.
func (c call) changed(err error) {
	if err != nil {
		c.abort(err.Error())
	}
}

// getStatusCode implements abi.GetStatusCode.
func getStatusCode(c call) uint64 { return uint64(c.exchange().Status()) }

// setStatusCode implements abi.SetStatusCode.
func setStatusCode(c call) uint64 {
	c.beforeNextOr(abi.FeatureBufferResponse)
	x, code := c.exchange(), c.arg(0)
	if code < 200 || code > 999 {
		c.abort("not a final status code")
	}
	c.changed(x.SetStatus(int(code)))
	return 0
}
