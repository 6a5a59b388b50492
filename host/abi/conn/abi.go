package conn

import (
	"context"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// What the ABIs are called.
const (
	Name       = "conn"
	ServerName = "server"
)

// ABI describes the conn ABI to the engine.
func ABI() guest.ABI {
	run := guest.Signature("", "i")
	return guest.ABI{
		Name:         Name,
		ImportModule: abi.ConnModule,
		Funcs:        funcs(),
		Required:     []guest.ExportFunc{{Name: abi.ProcessConnection, Type: run}},
		Optional:     []guest.ExportFunc{{Name: abi.ChildInit, Type: run}},
	}
}

// ServerABI describes the server ABI, of programs that accept connections.
func ServerABI() guest.ABI {
	accept := guest.HostFunc{Name: abi.Accept, Type: guest.Signature("", "i")}
	return guest.ABI{
		Name:         ServerName,
		ImportModule: abi.ConnModule,
		Funcs:        append(funcs(), accept),
		Park:         abi.Accept,
		Required:     []guest.ExportFunc{{Name: abi.Start, Type: guest.Signature("", "")}},
	}
}

// funcs are the functions of both ABIs.
func funcs() []guest.HostFunc {
	return []guest.HostFunc{
		hostFunc(abi.ConnRead, "ii", connRead),
		hostFunc(abi.ConnWrite, "ii", connWrite),
		hostFunc(abi.ConnShutdown, "i", connShutdown),
		hostFunc(abi.ConnInfo, "iii", connInfo),
		hostFunc(abi.ConnSetTimeout, "ii", connSetTimeout),
		hostFunc(abi.ConfigGet, "iiii", configGet),
		hostFunc(abi.Log, "iii", guestLog),
		hostFunc(abi.Stopping, "", stopping),
	}
}

// call is one call of a host function.
type call struct {
	s     *session
	mem   guest.Memory
	stack []uint64
}

// arg is the n-th parameter. The upper half of a slot is garbage.
func (c call) arg(n int) uint32 { return uint32(c.stack[n]) }

// hostFunc adapts a function of this package: its result, which is not
// negative, or else the negated errno, is what the guest gets.
func hostFunc(name, params string, fn func(call) (uint32, abi.Errno)) guest.HostFunc {
	return guest.HostFunc{
		Name: name,
		Type: guest.Signature(params, "i"),
		Call: func(ctx context.Context, mem guest.Memory, stack []uint64) {
			c := call{sessionOf(ctx), mem, stack}
			n, errno := fn(c)
			if errno != 0 {
				n = uint32(-errno)
			}
			// A function without parameters has a slot for its result too.
			stack[0] = uint64(n)
		},
	}
}

// get is the end of every getter: the value, if it fits, goes to the buffer
// at ptr, and its length is the result.
func (c call) get(value string, ptr, limit uint32) (uint32, abi.Errno) {
	n := uint32(len(value))
	if n > limit || n == 0 {
		return n, 0
	}
	buf, ok := c.mem.Bytes(ptr, n)
	if !ok {
		return 0, abi.EFAULT
	}
	copy(buf, value)
	return n, 0
}
