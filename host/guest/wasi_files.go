package guest

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// fileCall is the engine's function of that name for a guest with files. Those for
// files are the engine's, but for what concerns the standard streams as well, and
// with the guard paused in each: a disk may be slow, and that is no stretch of the
// guest's.
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
	return func(ctx context.Context, m api.Module, stack []uint64) {
		guard := guardOf(sessionIn(ctx))
		guard.pause()
		call(ctx, m, stack)
		guard.EndOvertime()
		guard.resume()
	}
}
