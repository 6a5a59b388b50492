package guest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/host/internal/wasmbin"
)

// WithoutTracker makes r like one on a system that tracks no writes.
func (r *Runtime) WithoutTracker() {
	if r.tracker != nil {
		r.tracker.Close()
		r.tracker = nil
	}
}

// ResetMethod is how a pool's instances are reset; "" if they are not.
func ResetMethod(p Pool, i *Instance) string {
	if _, ok := p.(*imagePool); !ok {
		return ""
	}
	return string(i.memory.Method())
}

// HasOwnImage reports whether the instance shares its image with no other.
func HasOwnImage(i *Instance) bool { return i.image.own }

// PartsMax is after how many parts a program is made anew.
const PartsMax = partsMax

// Reseal makes what is in a folder of the cache look whole.
func Reseal(folder string) error {
	sum, err := checksum(folder)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, sealName), sum, 0o600)
}

// RewriteVersion is part of the names in the cache.
const RewriteVersion = rewriteVersion

// Rewritten is what is compiled of a module that speaks abi.
func Rewritten(t testing.TB, wasm []byte, abi ABI) []byte {
	t.Helper()
	declared, err := wasmbin.Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	o := original{wasm, nil, declared, &abi}
	return o.rewritten()
}

// CompileOnce leaves the code of a module in folder.
var CompileOnce = compileOnce

// WithoutCode makes the engine's file of a module one without the code.
var WithoutCode = withoutCode

// SplitCode puts the code in a folder into a file of its own.
var SplitCode = splitCode
