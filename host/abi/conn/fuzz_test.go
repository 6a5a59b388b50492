package conn

import (
	"io"
	"net"
	"testing"

	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// endless is a connection that is never short of bytes and takes all.
type endless struct{ *hosttest.Conn }

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'r'
	}
	return len(p), nil
}

func (endless) Write(p []byte) (int, error) { return io.Discard.Write(p) }

func (endless) CloseWrite() error { return nil }

var _ mpm.Conn = endless{}

// FuzzConnPointers passes any numbers to each host function. Each call must
// return, and change nothing outside the buffer that it was given: the pages
// after the memory fault when touched, and the memory itself is compared.
func FuzzConnPointers(f *testing.F) {
	type function struct {
		name   string
		params int
		ptr    int // the parameter that is the buffer, its length follows; -1 without
	}
	functions := []function{
		{"conn_read", 2, 0},
		{"conn_write", 2, -1},
		{"conn_shutdown", 1, -1},
		{"conn_info", 3, 1},
		{"conn_set_timeout", 2, -1},
		{"config_get", 4, 2},
		{"log", 3, -1},
		{"stopping", 0, -1},
	}
	for n := range functions {
		for _, v := range []uint32{0, 1, memoryEnd - 1, memoryEnd, 1 << 31, ^uint32(0)} {
			f.Add(byte(n), v, v, v, v)
			f.Add(byte(n), uint32(1), v, ^v, v)
		}
	}
	server, client := net.Pipe()
	f.Cleanup(func() {
		_ = server.Close()
		_ = client.Close()
	})
	fw := newForward(f, nil, Settings{
		Config: map[string]string{"\x00": "zero", "\x00\x00": ""}, ConfigJSON: []byte("{}"),
	})
	fw.s.conn = endless{&hosttest.Conn{Conn: server, Name: "fuzz"}}
	f.Fuzz(func(t *testing.T, n byte, a, b, c, d uint32) {
		fn := functions[int(n)%len(functions)]
		args := []uint32{a, b, c, d}[:fn.params]
		stack := make([]uint64, 4)
		for i, v := range args {
			stack[i] = 0xffff_ffff<<32 | uint64(v)
		}
		if err := fw.i.Call(fw.s, fn.name, stack); err != nil {
			t.Fatalf("%s%v: %v", fn.name, args, err)
		}
		lo, hi := uint64(0), uint64(0)
		if fn.ptr >= 0 {
			lo = uint64(args[fn.ptr])
			hi = lo + uint64(args[fn.ptr+1])
		}
		checkUntouched(t, fw, lo, hi)
	})
}

// checkUntouched fails if a byte outside lo to hi is not zero, and makes the
// others zero again.
func checkUntouched(t *testing.T, fw *forward, lo, hi uint64) {
	t.Helper()
	mem, _ := fw.i.Memory().BytesUpTo(0, 1<<31)
	for at, b := range mem {
		if b == 0 {
			continue
		}
		if uint64(at) < lo || uint64(at) >= hi {
			t.Fatalf("the byte at %#x was changed", at)
		}
		mem[at] = 0
	}
}
