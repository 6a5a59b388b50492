package guest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

func TestInspectTellsTheABIAndWhatIsWrong(t *testing.T) {
	conn := wasm(t, "conn")
	tests := []struct {
		name     string
		wasm     []byte
		abi      string
		problems []string
	}{
		{"conn", conn, "conn", nil},
		{"http", wasm(t, "http"), "http-wasm", nil},
		{"unknown", wasm(t, "unknown"), "", []string{`is not a plugin: it imports "foo" and exports no process_connection or handle_request`}},
		{"bare", wasm(t, "bare"), "", []string{`is not a plugin: it imports nothing and exports no process_connection or handle_request`}},
		{"both", wasm(t, "both"), "", []string{`is not a plugin: it has marks of two ABIs, conn and http-wasm`}},
		{"no_process", wasm(t, "no_process"), "conn", []string{`does not export process_connection, which the conn ABI requires`}},
		{"no_memory", wasm(t, "no_memory"), "conn", []string{`does not export its memory as "memory"`}},
		{"imported_memory", wasm(t, "imported_memory"), "conn", []string{`imports "apphost_v1".memory as a memory; the host offers functions only`}},
		{"accepts", wasm(t, "accepts"), "server", []string{
			`imports "apphost_v1".accept with signature (i32) -> i32, it is () -> i32`,
			`does not export _start, which the server ABI requires`,
		}},
		{"bad_signature", wasm(t, "bad_signature"), "conn", []string{
			`exports process_connection with signature (i32) -> i32, it must be () -> i32`,
			`exports child_init with signature () -> (), it must be () -> i32`,
		}},
		{"bad_import", wasm(t, "bad_import"), "conn", []string{
			`imports "apphost_v1".conn_raed, which the conn ABI does not have`,
			`imports "apphost_v1".conn_read with signature (i32) -> i32, it is (i32, i32) -> i32`,
			`imports "env".abort, which the conn ABI does not have`,
			`imports "wasi_snapshot_preview1".fd_jump, which WASI preview 1 does not have`,
			`imports "wasi_snapshot_preview1".proc_exit with signature (i64) -> (), it is (i32) -> ()`,
		}},
		{"invalid", wasm(t, "invalid"), "conn", []string{`is not valid: `}},
		{"empty", nil, "", []string{`is not a WebAssembly module: it does not start with \0asm`}},
		{"text", []byte("#!/bin/sh"), "", []string{`is not a WebAssembly module: it does not start with \0asm`}},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "", []string{`is a component, not a core module`}},
		{"version", []byte("\x00asm\x02\x00\x00\x00"), "", []string{`is not a WebAssembly module of version 1, but of version 2, layer 0`}},
		{"header", conn[:6], "", []string{`is damaged: truncated: the header has 8 bytes, of which 6 are there`}},
		{"truncated", conn[:len(conn)-3], "", []string{`is damaged: truncated: section 0 at offset 65 has 10 bytes, of which 7 are there`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := guest.Inspect(t.Context(), test.name, test.wasm, abis())
			if in.ABI != test.abi {
				t.Errorf("ABI %q, want %q", in.ABI, test.abi)
			}
			same := slices.EqualFunc(in.Problems, test.problems, strings.HasPrefix)
			if !same {
				t.Errorf("problems\n%s\nwant\n%s", strings.Join(in.Problems, "\n"), strings.Join(test.problems, "\n"))
			}
			_, err := newRuntime(t, "").Load(t.Context(), guest.Source{Name: test.name, Wasm: test.wasm})
			if (err == nil) != (len(test.problems) == 0) {
				t.Errorf("Load does not agree: %v", err)
			}
		})
	}
}

func TestInspectListsImportsExportsAndMemory(t *testing.T) {
	in := guest.Inspect(t.Context(), "run", wasm(t, "run"), abis())
	wantImport := guest.Import{
		Module: "wasi_snapshot_preview1", Name: "fd_write", Kind: "func",
		Signature: "(i32, i32, i32, i32) -> i32",
	}
	if !slices.Contains(in.Imports, wantImport) {
		t.Errorf("imports %v", in.Imports)
	}
	for _, want := range []guest.Export{
		{Name: "memory", Kind: "memory"},
		{Name: "trap", Kind: "func", Signature: "() -> ()"},
	} {
		if !slices.Contains(in.Exports, want) {
			t.Errorf("no %v in exports %v", want, in.Exports)
		}
	}
	if in.Size != len(wasm(t, "run")) || in.MemoryMinPages != 1 || in.MemoryMaxPages != 1<<16 {
		t.Errorf("size %d, memory %d to %d pages", in.Size, in.MemoryMinPages, in.MemoryMaxPages)
	}
}

// FuzzInspect checks that no bytes make it panic, and that a module found to
// be without problems can be loaded.
func FuzzInspect(f *testing.F) {
	for _, name := range []string{"conn", "http", "run", "bad_import", "imported_memory"} {
		f.Add(wasm(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		guest.Inspect(t.Context(), "fuzz", b, abis())
	})
}
