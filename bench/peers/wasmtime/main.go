// Command wasmtime serves a guest of the http-wasm handler ABI over net/http,
// run by wasmtime: with instances that are used again, as they are left, or with
// a fresh one for each request. It is what a service in Go would write around
// that engine, with the few host functions that the benchmark's guest calls.
//
//	wasmtime -listen 127.0.0.1:8080 -guest hello.wasm [-fresh]
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	guest := flag.String("guest", "", "file of the guest")
	fresh := flag.Bool("fresh", false, "a fresh instance for each request")
	flag.Parse()
	if err := run(*listen, *guest, *fresh); err != nil {
		fmt.Fprintln(os.Stderr, "wasmtime:", err)
		os.Exit(1)
	}
}

// host makes instances of one guest.
type host struct {
	engine *wasmtime.Engine
	module *wasmtime.Module
	fresh  bool
	pool   sync.Pool // of *instance
}

// instance is one guest, and the exchange that it serves at the moment.
type instance struct {
	store  *wasmtime.Store
	memory *wasmtime.Memory
	handle *wasmtime.Func
	w      http.ResponseWriter
	r      *http.Request
}

func run(listen, guest string, fresh bool) error {
	engine := wasmtime.NewEngine()
	module, err := wasmtime.NewModuleFromFile(engine, guest)
	if err != nil {
		return fmt.Errorf("compile %s: %w", guest, err)
	}
	return http.ListenAndServe(listen, &host{engine: engine, module: module, fresh: fresh})
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, _ := h.pool.Get().(*instance)
	if i == nil {
		var err error
		if i, err = h.instantiate(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	i.w, i.r = w, r
	_, err := i.handle.Call(i.store)
	i.w, i.r = nil, nil
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		i.store.Close()
	case h.fresh:
		i.store.Close()
	default:
		h.pool.Put(i)
	}
}

func (h *host) instantiate() (*instance, error) {
	i := &instance{store: wasmtime.NewStore(h.engine)}
	var imports []wasmtime.AsExtern
	for _, imp := range h.module.Imports() {
		if imp.Name() == nil || imp.Type().FuncType() == nil {
			return nil, fmt.Errorf("import %s is no function", imp.Module())
		}
		f, err := i.function(*imp.Name(), imp.Type().FuncType())
		if err != nil {
			return nil, err
		}
		imports = append(imports, f)
	}
	made, err := wasmtime.NewInstance(i.store, h.module, imports)
	if err != nil {
		return nil, err
	}
	i.memory, i.handle = made.GetExport(i.store, "memory").Memory(), made.GetFunc(i.store, "handle_request")
	return i, nil
}

// function is a host function of the ABI.
func (i *instance) function(name string, t *wasmtime.FuncType) (*wasmtime.Func, error) {
	var call func(args []wasmtime.Val) []wasmtime.Val
	switch name {
	case "get_uri":
		call = func(args []wasmtime.Val) []wasmtime.Val {
			uri := i.r.URL.RequestURI()
			if len(uri) <= int(args[1].I32()) {
				copy(i.bytes(args[0], args[1]), uri)
			}
			return []wasmtime.Val{wasmtime.ValI32(int32(len(uri)))}
		}
	case "set_header_value":
		call = func(args []wasmtime.Val) []wasmtime.Val {
			i.w.Header().Set(string(i.bytes(args[1], args[2])), string(i.bytes(args[3], args[4])))
			return nil
		}
	case "write_body":
		call = func(args []wasmtime.Val) []wasmtime.Val {
			_, _ = i.w.Write(i.bytes(args[1], args[2])) // a client that is gone
			return nil
		}
	default:
		return nil, fmt.Errorf("the guest imports %s, which is not written here", name)
	}
	return wasmtime.NewFunc(i.store, t, func(_ *wasmtime.Caller, args []wasmtime.Val) ([]wasmtime.Val, *wasmtime.Trap) {
		return call(args), nil
	}), nil
}

func (i *instance) bytes(at, length wasmtime.Val) []byte {
	data := i.memory.UnsafeData(i.store)
	from := uint32(at.I32())
	return data[from : from+uint32(length.I32())]
}
