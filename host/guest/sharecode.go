package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/tetratelabs/wazero"

	"github.com/apphost/apphost/host/internal/mem"
)

// The engine reads machine code from its cache into memory of the process, once
// for each process. So what a module's folder holds is the engine's file without the
// code, and the code in a file of its own, which is mapped and given to the engine
// when it has loaded the rest: then all processes have the code once, and no child
// copies it: each reads it once, for its checksum. A file of which that cannot be is
// whole, such as one with the source lines of a module that was built with them: there,
// the mapped file takes the place of what the engine has read.

const (
	codeName = "code"
	// shareBytesMin is how much code is worth a file.
	shareBytesMin = 64 << 10
)

// splitCode makes a folder that the engine has filled one whose code is mapped. After
// an error, it is as it was.
func splitCode(folder string, code []byte) (err error) {
	files, err := engineFiles(folder)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("the engine has %d files of one module", len(files))
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	rest := withoutCode(whole, code)
	if rest == nil {
		rest = whole
	}
	added, half := filepath.Join(folder, codeName), files[0]+tempSuffix
	defer func() {
		if err != nil {
			_, _ = os.Remove(added), os.Remove(half)
		}
	}()
	// Running processes have it mapped: nobody writes to it by mistake.
	if err := os.WriteFile(added, code, 0o400); err != nil {
		return err
	}
	if err := os.WriteFile(half, rest, 0o600); err != nil {
		return err
	}
	return os.Rename(half, files[0])
}

// withoutCode makes the file of a module with code one without: there, the length is
// before the code, and its checksum behind it. A table of the module's source lines
// would follow, which needs the code when it is read. It returns nil of another file.
func withoutCode(file, code []byte) []byte {
	const lengthBytes, sumBytes = 8, 4
	at := bytes.Index(file, code)
	if at < lengthBytes {
		return nil
	}
	before, behind := file[:at-lengthBytes], file[at+len(code):]
	sum := crc32.Checksum(code, crc32.MakeTable(crc32.Castagnoli))
	if len(behind) <= sumBytes || binary.LittleEndian.Uint64(file[len(before):]) != uint64(len(code)) ||
		binary.LittleEndian.Uint32(behind) != sum || behind[sumBytes] != 0 {
		return nil
	}
	return slices.Concat(before, make([]byte, lengthBytes), behind[sumBytes:])
}

// giveCode gives a module that was loaded from folder its code, if it has not got it
// with the rest. It fails with errNoCode if there is none.
func (r *Runtime) giveCode(ctx context.Context, name string, module wazero.CompiledModule, folder string) error {
	field := codeField(module)
	f, err := os.Open(filepath.Join(folder, codeName))
	if errors.Is(err, fs.ErrNotExist) {
		if field.IsValid() && field.Len() == 0 {
			return errNoCode
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if !field.IsValid() {
		return errors.New("the engine has code in a place that is not known")
	}
	if field.Len() > 0 {
		if err := mem.ShareCode(field.Bytes(), f); errors.Is(err, mem.ErrCodeLost) {
			return err
		} else if err != nil {
			r.notShared(ctx, name, err)
		}
		return nil
	}
	code, why, err := mem.MapCode(f)
	if err != nil {
		return err
	}
	if why != nil {
		r.notShared(ctx, name, why)
	}
	mem.SetBytes(field, code) // the engine unmaps it
	return nil
}

func (r *Runtime) notShared(ctx context.Context, name string, err error) {
	r.log.DebugContext(ctx, "compiled code is not shared between processes", "plugin", name, "error", err)
}

// machineCode is the code of a module in this process, or nil if it is not where
// this version of the engine has it: there is no other way to get there.
func machineCode(module wazero.CompiledModule) []byte {
	if field := codeField(module); field.IsValid() {
		return field.Bytes()
	}
	return nil
}

// codeField is where the engine has the code. It is not valid if that is elsewhere.
func codeField(module wazero.CompiledModule) reflect.Value {
	own := reflect.ValueOf(module)
	modules, id := inside(own, "compiledEngine", "compiledModules"), inside(own, "module", "ID")
	if modules.Kind() != reflect.Map || !id.IsValid() || id.Type() != modules.Type().Key() {
		return reflect.Value{}
	}
	code := inside(modules.MapIndex(id), "compiledModule", "executables", "executable")
	if !code.IsValid() || code.Type() != reflect.TypeFor[[]byte]() || !code.CanAddr() {
		return reflect.Value{}
	}
	return code
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
