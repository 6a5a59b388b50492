package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
)

// inspect prints what a module is, and fails if it is no plugin.
func inspect(ctx context.Context, path string, w io.Writer) error {
	wasm, err := readModule(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	name := strings.TrimSuffix(filepath.Base(path), ".wasm")
	in := host.Inspect(ctx, name, wasm)

	abi := in.ABI
	if abi == "" {
		abi = "none that apphost knows"
	}
	fmt.Fprintf(w, "%s: %s, ABI %s\n", path, sizeText(in.Size), abi)
	if in.MemoryMaxPages > 0 {
		fmt.Fprintf(w, "memory: %s at first, %s at most\n", pagesText(in.MemoryMinPages), pagesText(in.MemoryMaxPages))
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range in.Imports {
		fmt.Fprintf(table, "import\t%s\t%s.%s\t%s\n", i.Kind, nameText(i.Module), nameText(i.Name), i.Signature)
	}
	for _, e := range in.Exports {
		fmt.Fprintf(table, "export\t%s\t%s\t%s\n", e.Kind, nameText(e.Name), e.Signature)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var problems []error
	for _, p := range in.Problems {
		problems = append(problems, fmt.Errorf("%s %s", path, p))
	}
	return errors.Join(problems...)
}

// nameText quotes a name that would not show as what it is: a module may call
// things whatever it likes, and a terminal obeys some of it.
func nameText(name string) string {
	if quoted := strconv.Quote(name); name == "" || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// readModule reads a file that a plugin folder would take: a regular one of
// bounded size.
func readModule(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > config.WasmBytesMax:
		return nil, fmt.Errorf("%s is larger than %s, the most a plugin may have", path, sizeText(config.WasmBytesMax))
	}
	return os.ReadFile(path)
}

func pagesText(pages uint64) string {
	const pageBytes = 64 << 10
	return sizeText(int(pages * pageBytes))
}

// sizeText writes a size as people read it.
func sizeText(bytes int) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.3g GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.3g MiB", float64(bytes)/(1<<20))
	case bytes >= 10<<10:
		return fmt.Sprintf("%.3g KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d B", bytes)
}
