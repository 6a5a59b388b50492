package guest

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// fileCall is the engine's function of that name for a guest with files. Those for
// files are the engine's, but for what concerns the standard streams as well, and
// with the guard paused in each that may have to wait: a disk may be slow, and that
// is no stretch of the guest's.
//
//   - fd_close of standard output also tells its session
//   - fd_fdstat_set_flags succeeds for a stream: reads and writes wait in any case
func fileCall(name string, original api.GoModuleFunc) api.GoModuleFunc {
	if !strings.HasPrefix(name, "fd_") && !strings.HasPrefix(name, "path_") {
		return original
	}
	call := original
	switch name {
	case "fd_close":
		call = func(ctx context.Context, m api.Module, stack []uint64) {
			closeStream(ctx, stack)
			original.Call(ctx, m, stack)
		}
	case "fd_fdstat_set_flags":
		call = func(ctx context.Context, m api.Module, stack []uint64) {
			if fd := uint32(stack[0]); fd <= lastStream {
				stack[0] = 0
				return
			}
			original.Call(ctx, m, stack)
		}
	}
	if quick(name) {
		return call
	}
	return paused(call, strings.HasPrefix(name, "fd_"))
}

// quick reports whether a function asks nobody but the table of descriptors.
func quick(name string) bool {
	switch name {
	case "fd_advise", "fd_fdstat_set_rights", "fd_prestat_dir_name", "fd_prestat_get", "fd_tell":
		return true
	}
	return false
}

// paused is call with the guard of its session paused. If it is for the descriptor
// in the first parameter and that is a standard stream, this is left to the stream.
func paused(call api.GoModuleFunc, descriptor bool) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		if fd := uint32(stack[0]); descriptor && fd <= lastStream {
			call(ctx, m, stack)
			return
		}
		guard := guardOf(sessionIn(ctx))
		guard.Pause()
		call(ctx, m, stack)
		guard.EndOvertime()
		guard.Resume()
	}
}
