package guest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/tetratelabs/wazero"

	"github.com/apphost/apphost/host/internal/mem"
)

// The engine reads machine code from its cache into memory of the process, once
// for each process. What a module's folder holds besides, a file with the very
// same bytes and nothing else, can take the place of that memory: then all
// processes have the code once.

const (
	codeName = "code"
	// shareBytesMin is how much code is worth a file.
	shareBytesMin = 64 << 10
)

// share puts the folder's file of the code in the place of the code. The keeper
// makes the file if it is not there, or holds something else. After an error, the
// module cannot be run.
func (r *Runtime) share(ctx context.Context, name, folder string, module wazero.CompiledModule) error {
	code := machineCode(module)
	if len(code) < shareBytesMin {
		return nil
	}
	err := shareFile(code, folder)
	if r.cache.keeper && (errors.Is(err, mem.ErrOtherCode) || errors.Is(err, fs.ErrNotExist)) {
		if err = r.cache.keepCode(folder, code); err == nil {
			err = shareFile(code, folder)
		}
	}
	if errors.Is(err, mem.ErrCodeLost) {
		return err
	}
	if err != nil {
		r.notShared(ctx, name, err)
	}
	return nil
}

func (r *Runtime) notShared(ctx context.Context, name string, err error) {
	r.log.DebugContext(ctx, "compiled code is not shared between processes", "plugin", name, "error", err)
}

func shareFile(code []byte, folder string) error {
	f, err := os.Open(filepath.Join(folder, codeName))
	if err != nil {
		return err
	}
	defer f.Close()
	return mem.ShareCode(code, f)
}

// keepCode writes the file of the code, which appears as a whole.
func (c *cache) keepCode(folder string, code []byte) error {
	f, err := os.CreateTemp(c.dir, tempPrefix+"*"+tempSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(code)
	// Running processes have it mapped: nobody writes to it by mistake.
	err = errors.Join(err, f.Chmod(0o400), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, codeName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// machineCode is the code of a module in this process, or nil if it is not where
// this version of the engine has it: there is no other way to get there.
func machineCode(module wazero.CompiledModule) []byte {
	own := reflect.ValueOf(module)
	modules, id := inside(own, "compiledEngine", "compiledModules"), inside(own, "module", "ID")
	if modules.Kind() != reflect.Map || !id.IsValid() || id.Type() != modules.Type().Key() {
		return nil
	}
	code := inside(modules.MapIndex(id), "compiledModule", "executables", "executable")
	if !code.IsValid() || code.Type() != reflect.TypeFor[[]byte]() {
		return nil
	}
	return code.Bytes()
}

// inside follows the names of fields, through pointers and interfaces. The result
// is not valid if one is not there.
func inside(v reflect.Value, path ...string) reflect.Value {
	for _, name := range path {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = v.FieldByName(name)
	}
	return v
}
