//go:build linux

package guest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// bulky is a module of the conn ABI with a hundred kilobytes of machine code and
// more. Its process_connection runs all of it, and returns 42. Its trap does.
func bulky() []byte {
	const functions, stores = 200, 100
	uleb := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	section := func(id byte, items int, content []byte) []byte {
		content = append(uleb(items), content...)
		return append(append([]byte{id}, uleb(len(content))...), content...)
	}
	body := func(code []byte) []byte {
		code = append(append([]byte{0}, code...), 0x0b) // no locals, and the end
		return append(uleb(len(code)), code...)
	}
	var code, calls []byte
	for n := range functions {
		store := []byte{0x41, byte(n % 64), 0x41, 1, 0x36, 2, 8} // i32.store
		code = append(code, body(bytes.Repeat(store, stores))...)
		calls = append(append(calls, 0x10), uleb(n)...)
	}
	code = append(code, body(append(calls, 0x41, 42))...)
	code = append(code, body([]byte{0x00})...)
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(1, 2, []byte{0x60, 0, 0, 0x60, 0, 1, 0x7f})...)
	out = append(out, section(3, functions+2, append(make([]byte, functions), 1, 0))...)
	out = append(out, section(5, 1, []byte{0, 1})...)
	exports := append([]byte("\x06memory\x02\x00\x12process_connection\x00"), uleb(functions)...)
	exports = append(append(exports, "\x04trap\x00"...), uleb(functions+1)...)
	out = append(out, section(7, 3, exports)...)
	return append(out, section(10, functions+2, code)...)
}

// runBulky loads and runs it, and reports whether its code is mapped from the cache
// in dir, and what was logged.
func runBulky(t *testing.T, dir string, keeper bool) (shared bool, logged string) {
	t.Helper()
	logger, log := hosttest.Logger()
	r, err := guest.NewRuntime(t.Context(), guest.Options{CacheDir: dir, KeepCache: keeper, ABIs: abis(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), guest.Source{Name: "bulky", Wasm: bulky()})
	if err != nil {
		t.Fatal(err)
	}
	shared = runs(t, dir)
	pool, s := guest.NewPool(m, initialize, guest.Fresh), newSession(t)
	i, stack := get(t, pool, s), []uint64{0}
	if err := i.Call(s, "process_connection", stack); err != nil || stack[0] != 42 {
		t.Errorf("it returned %d, %v", stack[0], err)
	}
	err = i.Call(s, "trap", nil)
	if f, ok := errors.AsType[*guest.Failure](err); !ok || f.Kind != guest.Trapped || !strings.Contains(f.Stack, "$201") {
		t.Errorf("a trap of function 201 is %#v", err)
	}
	pool.Put(i, guest.Failed)
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return shared, log.Take()
}

// runs reports whether a file in dir is mapped as code.
func runs(t *testing.T, dir string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "r-xp") && strings.HasPrefix(line[strings.LastIndexByte(line, ' ')+1:], dir) {
			return true
		}
	}
	return false
}

// Who takes code from the cache has the pages of a file, which others have, too, until
// its engine is gone. This fails with an engine that has its code elsewhere, or files of
// another kind: see codeField and withoutCode.
func TestCodeOfTheCacheIsShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if shared, log := runBulky(t, dir, true); shared || log != "" { // compiles
		t.Errorf("shared %t, logged %q", shared, log)
	}
	for _, keeper := range []bool{false, true} {
		if shared, log := runBulky(t, dir, keeper); !shared || log != "" {
			t.Errorf("keeper %t: shared %t, logged %q", keeper, shared, log)
		}
	}
	for end := time.Now().Add(20 * time.Second); runs(t, dir); runtime.GC() {
		if time.Now().After(end) {
			t.Fatal("code stays mapped")
		}
		runtime.Gosched()
	}
}

// Code that stays in the engine's file, as that of a module with source lines, is shared,
// too.
func TestCodeOfAWholeFileIsShared(t *testing.T) {
	dir, elsewhere := filepath.Join(t.TempDir(), "cache"), t.TempDir()
	runBulky(t, dir, true)
	if err := guest.CompileOnce(t.Context(), elsewhere, guest.Rewritten(t, bulky(), conn.ABI())); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(elsewhere, "wazero-*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range codeFiles(t, dir) {
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := guest.Reseal(filepath.Dir(filepath.Dir(file))); err != nil {
			t.Fatal(err)
		}
	}
	if shared, log := runBulky(t, dir, false); !shared || log != "" {
		t.Errorf("shared %t, logged %q", shared, log)
	}
}

// The engine's file is small without the code, and the code is there once.
func TestCodeIsInTheCacheOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	runBulky(t, dir, true)
	for _, file := range codeFiles(t, dir) {
		info, err := os.Stat(file)
		if err != nil || info.Size() > 8<<10 {
			t.Errorf("%s: %v, %v", file, info.Size(), err)
		}
	}
}

// A file that does not hold the very code is not run. The keeper makes it anew.
func TestOtherCodeIsNotShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	runBulky(t, dir, true)
	files, err := filepath.Glob(filepath.Join(dir, "*", "code"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"missing": nil, "empty": {}, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0),
		"other": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]+1),
	} {
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		if bad != nil {
			if err := os.WriteFile(files[0], bad, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if shared, log := runBulky(t, dir, false); shared || strings.Count(log, "\n") != 1 || !strings.Contains(log, "it is damaged") {
			t.Errorf("%s: shared %t, logged %q, want one warning", name, shared, log)
		}
		if _, log := runBulky(t, dir, true); log != "" {
			t.Errorf("%s: the keeper logged %q", name, log)
		}
		if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: the code was not made anew (%v)", name, err)
		}
		if shared, log := runBulky(t, dir, false); !shared || log != "" {
			t.Errorf("%s: afterwards, shared %t, logged %q", name, shared, log)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

// Code whose file is gone between two looks at it is an entry that cannot be used, and
// not a module without code.
func TestAModuleWithoutItsCodeIsNotRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	runBulky(t, dir, true)
	files, err := filepath.Glob(filepath.Join(dir, "*", "code"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := guest.Reseal(filepath.Dir(files[0])); err != nil {
		t.Fatal(err)
	}
	if _, log := runBulky(t, dir, false); strings.Count(log, "\n") != 1 || !strings.Contains(log, "compiled without the code cache") {
		t.Errorf("logged %q, want one warning", log)
	}
}
