package guest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	wasi "github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

const wasiModule = wasi.ModuleName

// wasiFunc is a function of the engine's WASI.
type wasiFunc struct {
	name            string
	call            api.GoModuleFunc
	params, results []api.ValueType
}

// wasiFuncs are all of them, in the order of their names. Of the engine they come from, nothing is used.
func wasiFuncs(ctx context.Context) ([]wasiFunc, error) {
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter()) // compiles nothing
	builder := engine.NewHostModuleBuilder(wasiModule)
	wasi.NewFunctionExporter().ExportFunctions(builder)
	compiled, err := builder.Compile(ctx)
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	var out []wasiFunc
	for name, def := range compiled.ExportedFunctions() {
		original, ok := def.GoFunction().(api.GoModuleFunction)
		if !ok {
			return nil, errors.Join(errors.New("the engine's "+name+" is no function in Go"), engine.Close(ctx))
		}
		out = append(out, wasiFunc{name, original.Call, def.ParamTypes(), def.ResultTypes()})
	}
	slices.SortFunc(out, func(a, b wasiFunc) int { return strings.Compare(a.name, b.name) }) // the engine has them in a map
	return out, engine.Close(ctx)
}

// offerWASI makes f importable. The guard of its session is told of each call.
func offerWASI(builder wazero.HostModuleBuilder, f wasiFunc) {
	noted := func(ctx context.Context, m api.Module, stack []uint64) {
		guardOf(sessionIn(ctx)).enter(f.name)
		f.call(ctx, m, stack)
	}
	builder.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(noted), f.params, f.results).WithName(f.name).Export(f.name)
}

// provideWASI takes the engine's WASI with three changes. Its proc_exit closes
// the module, and so frees the memory, while the instance is still in use; its
// arguments and environment are fixed when an instance is made, while ours
// belong to the run; and its table of descriptors outlives a reset of the memory,
// where the guest has no files (see provideStreams).
func provideWASI(ctx context.Context, engine wazero.Runtime, offer offer) error {
	builder := engine.NewHostModuleBuilder(wasiModule)
	for _, f := range offer.wasi {
		call := f.call
		if offer.files {
			call = fileCall(f.name, call)
		}
		offerWASI(builder, wasiFunc{f.name, call, f.params, f.results})
	}
	i32 := api.ValueTypeI32
	offerWASI(builder, wasiFunc{"proc_exit", func(_ context.Context, _ api.Module, stack []uint64) {
		exit(uint32(stack[0]))
	}, []api.ValueType{i32}, nil})
	if !offer.files {
		provideStreams(builder)
	}
	texts := []struct {
		name string
		list func(Session) []string
	}{{"args", Session.Args}, {"environ", Session.Environ}}
	for _, t := range texts {
		for name, fn := range map[string]func([]string, Memory, []uint64) bool{t.name + "_sizes_get": putSizes, t.name + "_get": putTexts} {
			offerWASI(builder, wasiFunc{name, func(ctx context.Context, m api.Module, stack []uint64) {
				errno := uint64(0)
				if !fn(t.list(sessionIn(ctx)), Memory{m.Memory()}, stack) {
					errno = errnoFault
				}
				stack[0] = errno
			}, []api.ValueType{i32, i32}, []api.ValueType{i32}})
		}
	}
	_, err := builder.Instantiate(ctx)
	return err
}

// exit ends the guest that called a host function, as Abort does.
func exit(code uint32) { panic(sys.NewExitError(code)) }

// wasiProblems lists the imports from WASI that are not as offered.
func wasiProblems(offered []wasiFunc, m *wasmbin.Module) []string {
	var out []string
	for _, imp := range m.Imports {
		if imp.Module != wasiModule {
			continue
		}
		at, ok := slices.BinarySearchFunc(offered, imp.Name, func(f wasiFunc, name string) int { return strings.Compare(f.name, name) })
		if !ok {
			out = append(out, fmt.Sprintf("imports %q.%s, which WASI preview 1 does not have", imp.Module, nameText(imp.Name)))
			continue
		}
		have := Type{Params: string(offered[at].params), Results: string(offered[at].results)}
		if have != imp.Type {
			out = append(out, fmt.Sprintf("imports %q.%s with signature %s, it is %s", imp.Module, imp.Name, imp.Type, have))
		}
	}
	return out
}

// sessionIn is the session of the run that a host function belongs to.
func sessionIn(ctx context.Context) Session {
	if s, ok := ctx.(Session); ok {
		return s
	}
	return SessionOf(ctx)
}

// putSizes implements args_sizes_get and environ_sizes_get: how many texts there
// are and how many bytes they need, each ended by NUL.
func putSizes(texts []string, mem Memory, stack []uint64) bool {
	total := 0
	for _, t := range texts {
		total += len(t) + 1
	}
	return mem.putUint32(uint32(stack[0]), uint32(len(texts))) && mem.putUint32(uint32(stack[1]), uint32(total))
}

// putTexts implements args_get and environ_get: the address of each text to the
// first parameter on, and the texts to the second one on.
func putTexts(texts []string, mem Memory, stack []uint64) bool {
	list, at := uint32(stack[0]), uint32(stack[1])
	for i, t := range texts {
		buf, ok := mem.Bytes(at, uint32(len(t)+1))
		if !ok || !mem.putUint32(list+4*uint32(i), at) {
			return false
		}
		copy(buf, t)
		buf[len(t)] = 0
		at += uint32(len(t) + 1)
	}
	return true
}

func (m Memory) putUint32(at, v uint32) bool {
	b, ok := m.Bytes(at, 4)
	if ok {
		binary.LittleEndian.PutUint32(b, v)
	}
	return ok
}
