package guest

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The errors of WASI that are used here (errno in wasi_snapshot_preview1.witx).
const (
	errnoBadFD        = 8
	errnoFault        = 21
	errnoNotDir       = 54
	errnoNotSupported = 58
)

// lastStream is the largest descriptor that a guest without files has: its
// standard error.
const lastStream = 2

// provideStreams replaces the functions that change a guest's table of
// descriptors, which outlives a reset of its memory. A guest without files has
// the three standard streams and never another one, so there is little to do:
//
//   - fd_close succeeds, and if it was standard output, its session is told
//   - fd_fdstat_set_flags succeeds: reads and writes wait in any case
//   - path_open, and whatever else takes a name, finds no folder to begin at, and
//     there is nothing to renumber
func provideStreams(builder wazero.HostModuleBuilder) {
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	for _, f := range []struct {
		name   string
		params []api.ValueType
		call   func(ctx context.Context, stack []uint64) uint64
	}{
		{"fd_close", []api.ValueType{i32}, closeStream},
		{"fd_fdstat_set_flags", []api.ValueType{i32, i32}, func(_ context.Context, stack []uint64) uint64 { return ofStream(stack, 0) }},
		{"fd_renumber", []api.ValueType{i32, i32}, func(_ context.Context, stack []uint64) uint64 { return ofStream(stack, errnoNotSupported) }},
	} {
		offerWASI(builder, wasiFunc{f.name, func(ctx context.Context, _ api.Module, stack []uint64) {
			stack[0] = f.call(ctx, stack)
		}, f.params, []api.ValueType{i32}})
	}
	for _, f := range []struct {
		name   string
		params []api.ValueType
		path   int // which parameter is the name's address; its length is the next
	}{
		{"path_open", []api.ValueType{i32, i32, i32, i32, i32, i64, i64, i32, i32}, 2},
		{"path_filestat_get", []api.ValueType{i32, i32, i32, i32, i32}, 2},
		{"path_create_directory", []api.ValueType{i32, i32, i32}, 1},
		{"path_remove_directory", []api.ValueType{i32, i32, i32}, 1},
		{"path_unlink_file", []api.ValueType{i32, i32, i32}, 1},
	} {
		offerWASI(builder, wasiFunc{f.name, func(ctx context.Context, m api.Module, stack []uint64) {
			refuseFiles(ctx, Memory{m.Memory()}, stack[f.path], stack[f.path+1])
			stack[0] = ofStream(stack, errnoNotDir)
		}, f.params, []api.ValueType{i32}})
	}
}

// pathBytesMax is how much of a name is logged.
const pathBytesMax = 256

// refuseFiles notes that a guest without files asks for one. Programs in C do not
// get that far: their library has found no folder to begin at before.
func refuseFiles(ctx context.Context, mem Memory, ptr, n uint64) {
	owned, ok := sessionIn(ctx).(Owned)
	if !ok {
		return
	}
	name, _ := mem.BytesUpTo(uint32(ptr), min(uint32(n), pathBytesMax))
	owned.Module().noFiles(name)
}

// ofStream is errno for one of the streams.
func ofStream(stack []uint64, errno uint64) uint64 {
	if fd := uint32(stack[0]); fd > lastStream {
		return errnoBadFD
	}
	return errno
}

// closeStream implements fd_close.
func closeStream(ctx context.Context, stack []uint64) uint64 {
	const stdout = 1
	fd := uint32(stack[0])
	if s, ok := sessionIn(ctx).(Streams); ok && fd == stdout {
		if out, ok := s.Stdout().(io.Closer); ok {
			_ = out.Close() // what is lost by it, the next write tells
		}
	}
	return ofStream(stack, 0)
}
