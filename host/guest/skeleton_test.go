package guest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/wasmbin"
)

// Where the engine does not find the code of a skeleton, as on a machine that can do
// less than the one it was made on, the module itself is compiled: a skeleton's
// functions trap. The keeper makes the folder anew, a child leaves it as it is.
func TestASkeletonIsNeverCompiled(t *testing.T) {
	dir, code := newCache(t)
	folder := filepath.Dir(filepath.Dir(code))
	if _, err := os.Stat(filepath.Join(folder, "skeleton")); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(filepath.Dir(code), strings.Repeat("0", 64))
	if err := os.Rename(code, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := guest.Reseal(folder); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		log := cached(t, dir, false) // which runs the guest
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "the engine has not found the code") {
			t.Errorf("a child logged %q, want one warning", log)
		}
		if files := codeFiles(t, dir); len(files) != 1 || files[0] != elsewhere {
			t.Errorf("a child left %q", files)
		}
	}
	for _, keeper := range []bool{true, false} {
		if log := cached(t, dir, keeper); log != "" {
			t.Errorf("keeper %t: logged %q", keeper, log)
		}
	}
	if files := codeFiles(t, dir); len(files) != 1 || files[0] != code {
		t.Errorf("the keeper left %q", files)
	}
}

// A folder without a skeleton, with the code under the module's own name, will do.
func TestAFolderWithoutASkeletonIsUsed(t *testing.T) {
	dir, code := newCache(t)
	folder := filepath.Dir(filepath.Dir(code))
	for _, path := range []string{code, filepath.Join(folder, "skeleton")} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := guest.CompileOnce(t.Context(), folder, guest.Rewritten(t, wasm(t, "run"), conn.ABI())); err != nil {
		t.Fatal(err)
	}
	if err := guest.Reseal(folder); err != nil {
		t.Fatal(err)
	}
	before := codeFiles(t, dir)
	for _, keeper := range []bool{false, true} {
		if log := cached(t, dir, keeper); log != "" {
			t.Errorf("keeper %t: logged %q", keeper, log)
		}
	}
	if after := codeFiles(t, dir); len(before) != 1 || len(after) != 1 || after[0] != before[0] {
		t.Errorf("files %q, before %q", after, before)
	}
}

// A skeleton that is damaged is not shown to the engine.
func TestADamagedSkeletonIsNotUsed(t *testing.T) {
	dir, code := newCache(t)
	file := filepath.Join(filepath.Dir(filepath.Dir(code)), "skeleton")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"missing": nil, "empty": {}, "short": good[:len(good)-1], "other": append(bytes.Clone(good[:len(good)-1]), ^good[len(good)-1]),
	} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if bad != nil {
			if err := os.WriteFile(file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if log := cached(t, dir, false); strings.Count(log, "\n") != 1 || !strings.Contains(log, "it is damaged") {
			t.Errorf("%s: a child logged %q, want one warning", name, log)
		}
		if log := cached(t, dir, true); log != "" {
			t.Errorf("%s: the keeper logged %q", name, log)
		}
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the skeleton was not made anew (%v)", name, err)
		}
	}
}

// What is in the cache is found by the module as it was given. So a build that
// rewrites modules in another way, or judges them otherwise, must not find what this
// one made.
func TestTheCacheKnowsHowModulesAreRewritten(t *testing.T) {
	sum := sha256.New()
	kept := func(wasm []byte) {
		fmt.Fprintf(sum, "%d %s %s %v\n", len(wasm), wasm, wasmbin.Skeleton(wasm), wasmbin.KeepsTables(wasm))
	}
	for _, name := range []string{"run", "dirty", "tables", "table", "grow"} {
		kept(guest.Rewritten(t, wasm(t, name), conn.ABI()))
	}
	for _, name := range []string{"program", "program_early"} {
		kept(guest.Rewritten(t, wasm(t, name), programABI()))
	}
	// What is said of each instruction, and of those that are none.
	keeps, err := os.ReadFile("../internal/wasmbin/testdata/keeps.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for at, was := range keeps {
		for b := range 256 {
			keeps[at] = byte(b)
			fmt.Fprintln(sum, wasmbin.KeepsTables(keeps))
		}
		keeps[at] = was
	}
	const want = "bd92afbf43631b2b"
	if got := hex.EncodeToString(sum.Sum(nil))[:16]; guest.RewriteVersion != 1 || got != want {
		t.Errorf("version %d makes %s of modules, want 1 and %s: raise rewriteVersion, and put both here", guest.RewriteVersion, got, want)
	}
}
