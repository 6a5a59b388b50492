package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The engine checks the machine code of a cache entry, but not the lengths
// and offsets around it: a damaged one can end the process. So each entry has
// a seal next to it, a file with the entry's checksum, and an entry without
// its right seal is removed before the engine looks. This is against a bad
// disk or a full one; whoever may write there can forge both.

const sealSuffix = ".seal"

// openCache makes the directory if needed and removes damaged entries.
func openCache(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make code cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open code cache: %w", err)
	}
	const writableByOthers = 0o022
	if info.Mode().Perm()&writableByOthers != 0 {
		return fmt.Errorf("open code cache: %s may be written by others (mode %#o); it must be 0700", dir, info.Mode().Perm())
	}
	for _, entry := range cacheEntries(dir) {
		want, err := os.ReadFile(entry + sealSuffix)
		sealed := err == nil
		sum, err := checksum(entry)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process was faster
		}
		if err == nil && sealed && string(want) == string(sum) {
			continue
		}
		err = os.Remove(entry)
		// One without a seal may be about to get it from another process.
		if err != nil && sealed && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a damaged entry of the code cache: %w", err)
		}
		_ = os.Remove(entry + sealSuffix) // a new entry may have another checksum
	}
	return nil
}

// sealCache seals the entries that have no seal. They were written just now:
// openCache left none. What cannot be sealed is compiled again next time.
func sealCache(dir string) {
	for _, entry := range cacheEntries(dir) {
		if _, err := os.Stat(entry + sealSuffix); err == nil {
			continue
		}
		if sum, err := checksum(entry); err == nil {
			// A seal that is itself cut short only costs a compilation.
			_ = os.WriteFile(entry+sealSuffix, sum, 0o600)
		}
	}
}

// cacheEntries are the engine's finished files, in its directories by version.
func cacheEntries(dir string) []string {
	files, err := fs.Glob(os.DirFS(dir), "wazero-*/*")
	if err != nil {
		panic("BUG: bad pattern: " + err.Error())
	}
	var entries []string
	for _, f := range files {
		if !strings.HasSuffix(f, sealSuffix) && !strings.HasSuffix(f, ".tmp") {
			entries = append(entries, filepath.Join(dir, f))
		}
	}
	return entries
}

func checksum(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(nil, sum), nil
}
