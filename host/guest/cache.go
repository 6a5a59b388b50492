package guest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// cache is the directory of compiled code. Each module has a folder in it,
// named by what the code is made from:
//
//	KEY/wazero-…/…   the engine's own file, without the machine code if that is
//	                 worth a file
//	KEY/code         which is this one, to share between processes: see splitCode
//	KEY/skeleton     the module without its functions, see addSkeleton
//	KEY/keeps-tables is there if wasmbin.KeepsTables says so of the module
//	KEY/seal         the checksum of all of that
//	compile-….tmp/   code under way, of one process
//
// The engine checks the machine code of a file, but not the lengths and
// offsets around it: a damaged one can end the process. So what has not its
// right seal is not shown to the engine. This is against a bad disk or a full
// one; whoever may write there can forge both.
//
// A folder is filled and sealed under its temporary name, appears by a
// rename, and is never changed: other processes see all of it or nothing.
// Only the keeper, of which there is one at a time in a server, takes away
// what is damaged or was not used for long.
type cache struct {
	dir    string
	keeper bool
}

const (
	sealName   = "seal"
	keepsName  = "keeps-tables"
	tempPrefix = "compile-"
	tempSuffix = ".tmp"
)

// openCache opens the directory. The keeper makes it if it is missing.
func openCache(dir string, keeper bool) (*cache, error) {
	if keeper {
		err := os.MkdirAll(dir, 0o700)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("make code cache: %w; user %d has to be able to get there, or plugins.cache_dir to name a folder of theirs", err, os.Geteuid())
		}
		if err != nil {
			return nil, fmt.Errorf("make code cache: %w; plugins.cache_dir says where it is to be", err)
		}
	}
	if err := checkOwned(dir); err != nil {
		return nil, fmt.Errorf("open code cache: %w", err)
	}
	return &cache{dir, keeper}, nil
}

// checkOwned fails unless path is a directory that nobody but this user and
// root can write to, and that can be read.
func checkOwned(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkOwner(info, path); err != nil {
		return err
	}
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// checkOwner is the part of checkOwned that needs no access.
func checkOwner(info fs.FileInfo, path string) error {
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	const writableByOthers = 0o022
	if info.Mode().Perm()&writableByOthers != 0 {
		return fmt.Errorf("%s may be written by others (mode %#o); it must be 0700", path, info.Mode().Perm())
	}
	if uid, ok := ownerOf(info); ok && uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d; it must belong to user %d, which runs this, or to root", path, uid, os.Geteuid())
	}
	return nil
}

// engineVersion is the engine's, as far as the build knows it.
func engineVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/tetratelabs/wazero" {
			return cmp.Or(dep.Replace, dep).Version
		}
	}
	return ""
}

// errDamaged means that a folder is not as its seal says.
var errDamaged = errors.New("it is damaged")

// find returns the folder of the module, seen to be whole. It fails with
// fs.ErrNotExist if there is none.
func (c *cache) find(key string) (string, error) {
	folder := filepath.Join(c.dir, key)
	if err := checkOwned(folder); err != nil {
		return "", err
	}
	want, err := os.ReadFile(filepath.Join(folder, sealName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	sum, err := checksum(folder)
	if err != nil {
		return "", err
	}
	if string(sum) != string(want) {
		return "", errDamaged
	}
	return folder, nil
}

// temp makes a folder to compile into. Whoever calls it removes it, unless
// publish has.
func (c *cache) temp() (string, error) {
	return os.MkdirTemp(c.dir, tempPrefix+"*"+tempSuffix)
}

// keepsTables reports what is noted of the module in a folder that was found.
func (c *cache) keepsTables(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, keepsName))
	return err == nil
}

// publish seals the folder that temp made and gives it its name. If another
// process was faster, its folder stays.
func (c *cache) publish(temp, key string, keepsTables bool) error {
	if keepsTables {
		if err := os.WriteFile(filepath.Join(temp, keepsName), nil, 0o600); err != nil {
			return err
		}
	}
	sum, err := checksum(temp)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, sealName), sum, 0o600); err != nil {
		return err
	}
	err = os.Rename(temp, filepath.Join(c.dir, key))
	if errors.Is(err, fs.ErrExist) { // also of a folder that is not empty
		return nil
	}
	return err
}

// checksum covers the names and contents of all files in folder but the seal.
func checksum(folder string) ([]byte, error) {
	sum, files := crc32.New(crc32.MakeTable(crc32.Castagnoli)), 0
	buf := make([]byte, 256<<10) // code has megabytes, which need not be here at a time
	// The walk is in the order of names.
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, folder)
		if entry.IsDir() {
			if name == "" {
				return nil
			}
			return checkOwned(path)
		}
		if name == string(filepath.Separator)+sealName {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, info.Size())
		files += int(min(info.Size(), 1))
		return addFile(sum, path, buf)
	})
	if err == nil && files == 0 { // as when the engine could not write
		err = errors.New("it holds no code")
	}
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint32(nil, sum.Sum32()), nil
}

// addFile adds the content of a file, read by way of buf.
func addFile(sum hash.Hash, path string, buf []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, buf)
	return err
}
