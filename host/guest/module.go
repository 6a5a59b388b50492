package guest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"

	"github.com/apphost/apphost/host/internal/mem"
	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/tetratelabs/wazero"
)

// Tables are on the Go heap, at 8 bytes an element, and would get around the
// memory limit. So all tables of a guest together are bounded, and so is their
// number, for an empty one takes space too.
const (
	tableElementsMax = 1 << 20
	tablesMax        = 100
)

// Source is a plugin to load.
type Source struct {
	Name string
	Wasm []byte // must not change while the module is used
	// Digest is the SHA-256 of Wasm, by which its code is found in the cache. It is made
	// if it is empty, which takes longer than all else that is asked of Wasm then. Only
	// its length is checked: that of another module has its code run in the place of
	// this one's.
	Digest []byte
	// MemoryLimitBytes bounds the memory of each instance, rounded down to
	// pages of 64 KiB; 0 means DefaultMemoryLimitBytes, and 4 GiB less one
	// page is the most.
	MemoryLimitBytes uint64
	// Dirs are the folders that the guest may use; it has no other files. A
	// guest that has any is made anew for each run.
	Dirs []Dir
	// Entrypoint is the function without parameters that a program begins at,
	// if not its main function.
	Entrypoint string
	// Crashed, if set, is called after each run that Module.NoteCrash counts.
	Crashed func()
}

// Module is a loaded plugin, from which instances are made.
type Module struct {
	name   string
	size   int
	abi    string
	engine wazero.Runtime
	code   wazero.CompiledModule
	// config is what every instance gets from WASI, but for its output.
	config wazero.ModuleConfig
	memory wasmbin.Limits // Max never exceeds the plugin's limit
	// madeAnew is why each run has to have a new instance, in words. If it is
	// empty, memory and globals are all that a run can change: an instance in
	// which they are put back is as good as a new one.
	madeAnew string
	parks    bool         // it is a program that is run in parts
	globals  []string     // exports of the mutable globals
	tracker  *mem.Tracker // nil if there is none here
	funcs    map[string]bool
	log      *slog.Logger
	once     refusals
	crashed  func() // nil: nobody wants to know
}

// Load compiles a plugin, or takes its code from the cache.
//
// # Errors
//
// Each names the plugin and is one line; several are joined.
//
//   - its digest has another length than a SHA-256
//   - the bytes are not a valid module
//   - it speaks no known ABI, or departs from the one it speaks
//   - it needs more memory than its limit, or too many or too large tables
//   - a folder cannot be opened, or read
func (r *Runtime) Load(ctx context.Context, src Source) (*Module, error) {
	if n := len(src.Digest); n != 0 && n != sha256.Size {
		return nil, fmt.Errorf("plugin %q: its digest has %d bytes, a SHA-256 has %d", src.Name, n, sha256.Size)
	}
	in, declared, speaks := inspect(r.wasi, src.Name, src.Wasm, beginAt(r.abis, src.Entrypoint))
	if speaks == nil && declared != nil && src.Entrypoint != "" {
		if err := checkEntrypoint(src, declared); err != nil {
			return nil, err
		}
	}
	if err := in.Error(); err != nil {
		return nil, err
	}
	memory := *declared.Memory
	limit := limitPages(src.MemoryLimitBytes)
	if memory.Min > limit {
		return nil, fmt.Errorf("plugin %q needs %s of memory, memory_limit is %s",
			src.Name, sizeText(memory.Min*pageBytes), sizeText(limit*pageBytes))
	}
	memory.Max = min(memory.Max, limit)
	if err := checkTables(declared); err != nil {
		return nil, fmt.Errorf("plugin %q %w", src.Name, err)
	}
	hasFiles := len(src.Dirs) > 0
	made, err := r.compile(ctx, src.Name, &original{src.Wasm, src.Digest, declared, speaks}, offer{[]ABI{*speaks}, r.wasi, hasFiles})
	if err != nil {
		return nil, fmt.Errorf("plugin %q is not valid: %s", src.Name, oneLine(err))
	}
	m := &Module{
		name: src.Name, size: len(src.Wasm), abi: speaks.Name,
		engine: made.engine, code: made.code, memory: memory, tracker: r.tracker,
		globals: declared.GlobalExports(), madeAnew: madeAnew(declared, made.keepsTables, hasFiles),
		parks: speaks.Park != "", config: wasiConfig(), funcs: map[string]bool{}, log: r.log, crashed: src.Crashed,
	}
	for _, exp := range declared.Exports {
		if exp.Kind == wasmbin.KindFunc {
			m.funcs[exp.Name] = true
		}
	}
	if hasFiles {
		folders, err := m.openDirs(src.Dirs)
		r.mu.Lock()
		r.closes = append(r.closes, folders)
		r.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// checkTables says why a module has more of tables than it may.
func checkTables(m *wasmbin.Module) error {
	if n := len(m.Tables); n > tablesMax {
		return fmt.Errorf("has %d tables, %d is the most", n, tablesMax)
	}
	elements := uint64(0)
	for _, table := range m.Tables {
		if table.Min > tableElementsMax { // so that the sum cannot overflow
			return fmt.Errorf("needs a table of %d elements, %d is the most", table.Min, tableElementsMax)
		}
		elements += table.Min
	}
	if elements > tableElementsMax {
		return fmt.Errorf("needs tables of %d elements together, %d is the most", elements, tableElementsMax)
	}
	return nil
}

// wasiConfig gives a guest real clocks and randomness, but no files. The
// instance has no name, so that there can be many, and no function runs by
// itself. Arguments and environment are the session's.
func wasiConfig() wazero.ModuleConfig {
	return wazero.NewModuleConfig().
		WithName("").WithStartFunctions().
		WithSysWalltime().WithSysNanotime().
		WithRandSource(rand.Reader)
}

// Name is the plugin's name.
func (m *Module) Name() string { return m.name }

// Arguments are args, or the plugin's name alone if there are none.
func (m *Module) Arguments(args []string) []string {
	if len(args) == 0 {
		return []string{m.name}
	}
	return args
}

// Size is the length of its binary, in bytes.
func (m *Module) Size() int { return m.size }

// ABI is the name of the ABI it speaks.
func (m *Module) ABI() string { return m.abi }

// MemoryLimitBytes is how large an instance's memory can become.
func (m *Module) MemoryLimitBytes() uint64 { return m.memory.Max * pageBytes }

// Exports reports whether the module exports a function of that name.
func (m *Module) Exports(fn string) bool { return m.funcs[fn] }

// checkEntrypoint fails if a module does not have the function that it is to begin
// at.
func checkEntrypoint(src Source, m *wasmbin.Module) error {
	var has []string
	for _, exp := range m.Exports {
		if exp.Kind != wasmbin.KindFunc {
			continue
		}
		if exp.Name == src.Entrypoint {
			return nil
		}
		if exp.Type == Signature("", "") && len(has) < namesMax {
			has = append(has, nameText(exp.Name))
		}
	}
	return &SettingError{
		"plugin." + src.Name + ".entrypoint",
		fmt.Errorf("%s.wasm exports no function %q; it has: %s", src.Name, src.Entrypoint, cmp.Or(strings.Join(has, ", "), "none without parameters")),
	}
}

// namesMax is how many names a message lists.
const namesMax = 10
