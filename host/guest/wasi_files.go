package guest

import (
	"context"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// fileCall is the engine's function of that name for a guest with files. Those for
// files are the engine's, but for what concerns the standard streams as well, and
// with the guard paused in each that may have to wait: a disk may be slow, and that
// is no stretch of the guest's, see paused.
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
	return paused(call, strings.HasPrefix(name, "fd_"), countOf(name))
}

// quick reports whether a function asks nobody but the table of descriptors.
func quick(name string) bool {
	switch name {
	case "fd_advise", "fd_fdstat_set_rights", "fd_prestat_dir_name", "fd_prestat_get", "fd_tell":
		return true
	}
	return false
}

// countOf is which parameter of a function that reads or writes is the address of how
// many bytes it has; 0 of one that does not.
func countOf(name string) int {
	switch name {
	case "fd_read", "fd_write":
		return 3
	case "fd_pread", "fd_pwrite", "fd_readdir":
		return 4
	}
	return 0
}

// diskWaitMin is how long a call for a file has to take to be one that has waited. It
// is more than a thread has to wait for a processor, but on a machine that has far too
// much to do.
const diskWaitMin = 100 * time.Millisecond

// paused is call with the guard of its session paused. If it is for the descriptor
// in the first parameter and that is a standard stream, this is left to the stream.
// Nobody knows before whether a disk has to be waited for: a call that has neither read
// nor written anything, nor taken long, is the guest's own time after all, such as one
// that fails at once.
func paused(call api.GoModuleFunc, descriptor bool, count int) api.GoModuleFunc {
	return func(ctx context.Context, m api.Module, stack []uint64) {
		if fd := uint32(stack[0]); descriptor && fd <= lastStream {
			call(ctx, m, stack)
			return
		}
		guard, at, began := guardOf(sessionIn(ctx)), uint32(stack[count]), time.Now()
		guard.Pause()
		call(ctx, m, stack)
		guard.EndOvertime()
		const success = 0
		if count > 0 && stack[0] == success && !isZero(m, at) || time.Since(began) >= diskWaitMin {
			guard.Resume()
		} else {
			guard.goOn()
		}
	}
}

// isZero reports whether a number that the engine has written is 0.
func isZero(m api.Module, at uint32) bool {
	n, _ := m.Memory().ReadUint32Le(at)
	return n == 0
}
