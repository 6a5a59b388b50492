package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"

	"github.com/apphost/apphost/host/internal/wasmbin"
)

// rewriteVersion is raised when wasmbin makes something else of a module than before,
// be it what is compiled or the skeleton of that, or when KeepsTables says something
// else of one: the cache must not give out what an older build has made or said.
const rewriteVersion = 1

// original is a module as it was given. What is compiled is changed here and there,
// which takes as long as loading its code: only who has to compile it does that.
type original struct {
	wasm     []byte
	digest   []byte // of wasm, or empty
	declared *wasmbin.Module
	abi      *ABI // that it speaks
}

// rewritten is what is compiled.
func (o *original) rewritten() []byte {
	wasm := wasmbin.MergeData(o.wasm)
	if o.abi.Park != "" {
		wasm = wasmbin.MoveImport(wasm, o.abi.ImportModule, o.abi.Park, o.abi.ImportModule+loopSuffix)
	}
	return wasmbin.ExportGlobals(wasmbin.LimitTables(wasm, o.declared, tableElementsMax), o.declared)
}

// key names the code: the engine makes other code in another version and on another
// machine, and of what was rewritten in another way.
func (o *original) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %d\n", engineVersion(), runtime.GOARCH, runtime.GOOS, rewriteVersion)
	fmt.Fprintf(h, "%d %q %q\n", tableElementsMax, o.abi.ImportModule, o.abi.Park)
	if len(o.digest) == 0 {
		made := sha256.Sum256(o.wasm)
		o.digest = made[:]
	}
	h.Write(o.digest)
	return hex.EncodeToString(h.Sum(nil))
}
