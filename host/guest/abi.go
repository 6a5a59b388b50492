package guest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apphost/apphost/host/internal/wasmbin"
	"github.com/apphost/apphost/sdk/abi"
)

// ABI describes what a kind of guest and the host offer each other.
type ABI struct {
	// Name is how the ABI is called in logs and by "apphost inspect".
	Name string
	// ImportModule is the module its host functions are imported from; empty
	// for an ABI without any, which a module speaks that has the first of the
	// required exports and no mark of another ABI.
	ImportModule string
	// Funcs are those host functions.
	Funcs []HostFunc
	// Park is the one of Funcs, () → i32, in which a program waits for its next
	// part (see [Instance.Run]); empty for an ABI that has none. This package
	// implements it. A module that imports it speaks the ABI, whatever else
	// other ABIs with the same ImportModule require.
	Park string
	// Required are the functions a guest must export, besides its memory.
	// The first one identifies the ABI, as the import module does.
	Required []ExportFunc
	// Optional are functions a guest may export, with this signature only.
	Optional []ExportFunc
}

// Type is the signature of a function.
type Type = wasmbin.FuncType

// Signature makes a Type of two strings in which 'i' is an i32 and 'I' an
// i64, such as Signature("iii", "I").
func Signature(params, results string) Type {
	names := strings.NewReplacer("i", wasmbin.I32, "I", wasmbin.I64)
	return Type{Params: names.Replace(params), Results: names.Replace(results)}
}

// HostFunc is a function that guests import.
type HostFunc struct {
	Name string
	Type Type
	// Call gets the parameters in stack and leaves the result in stack[0].
	// ctx is the [Session] of the run, or wraps it (see [SessionOf]). An i32
	// occupies the low half of its slot, the other half is garbage. It is nil
	// of the function that is ABI.Park. Where it may have to wait, it pauses the
	// session's Guard for that.
	Call func(ctx context.Context, mem Memory, stack []uint64)
}

// ExportFunc is a function that guests export.
type ExportFunc struct {
	Name string
	Type Type
}

// beginAt are the ABIs where programs begin at the function entry, if that is
// not empty.
func beginAt(abis []ABI, entry string) []ABI {
	if entry == "" {
		return abis
	}
	out := slices.Clone(abis)
	for i := range out {
		if out[i].ImportModule == "" {
			out[i].Required = []ExportFunc{{entry, Signature("", "")}}
		}
	}
	return out
}

// detect finds the one ABI that m speaks. Otherwise it says why there is none.
func detect(m *wasmbin.Module, abis []ABI) (*ABI, string) {
	var found, plain []*ABI
	for i := range abis {
		switch a := &abis[i]; {
		case !a.marks(m):
		case a.ImportModule == "":
			plain = append(plain, a)
		default:
			found = append(found, a)
		}
	}
	found = slices.DeleteFunc(found, func(a *ABI) bool {
		return a.Park == "" && slices.ContainsFunc(found, func(b *ABI) bool { return b.Park != "" && b.ImportModule == a.ImportModule })
	})
	if len(found) == 0 {
		found = plain
	}
	switch len(found) {
	case 1:
		return found[0], ""
	case 0:
		return nil, "is not a plugin: " + noABI(m, abis)
	default:
		return nil, fmt.Sprintf("is not a plugin: it has marks of two ABIs, %s and %s", found[0].Name, found[1].Name)
	}
}

// marks reports whether m has a mark of the ABI: its import module or its
// first required export, or only the function that programs park in, if it has one.
func (a *ABI) marks(m *wasmbin.Module) bool {
	for _, imp := range m.Imports {
		if a.Park != "" {
			if imp.Module == a.ImportModule && imp.Name == a.Park {
				return true
			}
			continue
		}
		if imp.Module == a.ImportModule && a.ImportModule != "" {
			return true
		}
	}
	_, ok := exported(m, a.Required[0].Name)
	return ok && a.Park == ""
}

func noABI(m *wasmbin.Module, abis []ABI) string {
	imports := "nothing"
	for _, imp := range m.Imports {
		if imp.Module != wasiModule || imports == "nothing" {
			imports = fmt.Sprintf("%q", imp.Module)
		}
		if imp.Module != wasiModule {
			break
		}
	}
	var names []string
	for i := range abis {
		if abis[i].Park == "" {
			names = append(names, abis[i].Required[0].Name)
		}
	}
	return fmt.Sprintf("it imports %s and exports no %s", imports, strings.Join(names, " or "))
}

// problems lists where m departs from the ABI.
func (a *ABI) problems(m *wasmbin.Module) []string {
	var out []string
	for _, imp := range m.Imports {
		if p := a.importProblem(imp); p != "" {
			out = append(out, p)
		}
	}
	if exp, ok := exported(m, abi.Memory); !ok {
		out = append(out, `does not export its memory as "memory"`)
	} else if exp.Kind != wasmbin.KindMemory {
		out = append(out, fmt.Sprintf(`exports "memory" as a %s, not as its memory`, exp.Kind))
	} else if m.Memory == nil {
		out = append(out, "exports a memory that it does not have")
	}
	for _, want := range a.Required {
		if _, ok := exported(m, want.Name); !ok {
			out = append(out, fmt.Sprintf("does not export %s, which the %s ABI requires", want.Name, a.Name))
		}
	}
	start := Signature("", "")
	known := append(append([]ExportFunc{{abi.Initialize, start}, {abi.Start, start}}, a.Required...), a.Optional...)
	for _, want := range known {
		exp, ok := exported(m, want.Name)
		if !ok {
			continue
		}
		if exp.Kind != wasmbin.KindFunc {
			out = append(out, fmt.Sprintf("exports %s as a %s, not as a function", want.Name, exp.Kind))
		} else if exp.Type != want.Type {
			out = append(out, fmt.Sprintf("exports %s with signature %s, it must be %s", want.Name, exp.Type, want.Type))
		}
	}
	return out
}

// importProblem says why the host cannot satisfy imp, or "".
func (a *ABI) importProblem(imp wasmbin.Import) string {
	if imp.Module != wasiModule && imp.Module != a.ImportModule {
		return fmt.Sprintf("imports %q.%s, which the %s ABI does not have", imp.Module, nameText(imp.Name), a.Name)
	}
	if imp.Kind != wasmbin.KindFunc {
		return fmt.Sprintf("imports %q.%s as a %s; the host offers functions only", imp.Module, nameText(imp.Name), imp.Kind)
	}
	if imp.Module == wasiModule {
		return "" // checked against what the engine offers, see wasiProblems
	}
	for i := range a.Funcs {
		f := &a.Funcs[i]
		if f.Name != imp.Name {
			continue
		}
		if f.Type != imp.Type {
			return fmt.Sprintf("imports %q.%s with signature %s, it is %s", imp.Module, imp.Name, imp.Type, f.Type)
		}
		return ""
	}
	return fmt.Sprintf("imports %q.%s, which the %s ABI does not have", imp.Module, nameText(imp.Name), a.Name)
}

func exported(m *wasmbin.Module, name string) (wasmbin.Export, bool) {
	for _, exp := range m.Exports {
		if exp.Name == name {
			return exp, true
		}
	}
	return wasmbin.Export{}, false
}
