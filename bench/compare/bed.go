package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
	"github.com/apphost/apphost/bench/internal/result"
)

// bed is where the cases are run: a scratch folder with what was built, and who
// cannot take part. What it builds, it builds when it is first asked for.
type bed struct {
	ctx context.Context //nolint:containedctx // one run of the command is one context
	options
	out     io.Writer
	scratch string
	folders int
	built   map[string]outcome
	skips   map[string]string // why, by name
}

type outcome struct {
	path string
	err  error
}

// errMissing is wrapped by why a peer cannot take part.
var errMissing = errors.New("not installed")

func missing(what string) error {
	return fmt.Errorf("%w: %s; see bench/README.md", errMissing, what)
}

func newBed(ctx context.Context, o options, out io.Writer) (*bed, error) {
	scratch, err := os.MkdirTemp("", "apphost-bench-")
	if err != nil {
		return nil, err
	}
	b := &bed{ctx: ctx, options: o, out: out, scratch: scratch, built: map[string]outcome{}, skips: map[string]string{}}
	// Servers that give up being root still have to reach their files.
	if err := os.Chmod(scratch, 0o711); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bed) close() error { return os.RemoveAll(b.scratch) }

// folder is a new one.
func (b *bed) folder() (string, error) {
	b.folders++
	dir := filepath.Join(b.scratch, strconv.Itoa(b.folders))
	return dir, os.Mkdir(dir, 0o711)
}

// skip notes who does not take part, and says so once.
func (b *bed) skip(who string, why error) {
	if _, told := b.skips[who]; !told {
		fmt.Fprintf(b.out, "skipped: %s: %v\n", who, why)
	}
	b.skips[who] = why.Error()
}

func (b *bed) skipped() []result.Skip {
	var all []result.Skip
	for who, why := range b.skips {
		all = append(all, result.Skip{Who: who, Why: why})
	}
	slices.SortFunc(all, func(x, y result.Skip) int { return cmp.Compare(x.Who, y.Who) })
	return all
}

// build is the path of what make makes in the scratch folder, made once.
func (b *bed) build(name string, make func(path string) error) (string, error) {
	o, done := b.built[name]
	if !done {
		o.path = filepath.Join(b.scratch, name)
		o.err = make(o.path)
		b.built[name] = o
	}
	return o.path, o.err
}

// server is the one of this repository.
func (b *bed) server() (string, error) {
	return b.build("apphost", func(string) error {
		_, err := launch.Build(b.scratch)
		return err
	})
}

// cProgram compiles a source in C.
func (b *bed) cProgram(name, source string) (string, error) {
	return b.build(name, func(path string) error {
		if _, err := exec.LookPath("cc"); err != nil {
			return missing("a C compiler, cc")
		}
		return probe.Command(nil, "cc", "-O2", "-pthread", "-o", path, source)
	})
}

// goPeer builds a module of bench/peers, each of which has its own dependencies.
func (b *bed) goPeer(module string) (string, error) {
	return b.build(module, func(path string) error {
		if err := probe.Command(nil, "go", "build", "-C", filepath.Join("bench/peers", module), "-o", path, "."); err != nil {
			return fmt.Errorf("%w: %w", missing("what bench/peers/"+module+" is built from"), err)
		}
		return nil
	})
}

// guest is the file of a plugin: committed, or built from Go.
func (b *bed) guest(name string) (string, error) {
	switch name {
	case "hello", "echo":
		return filepath.Abs(filepath.Join("plugins", name+".wasm"))
	case "spin":
		return guestPath("spin")
	case "goecho":
		return b.build("goecho.wasm", func(path string) error { return launch.GoGuest(path, "./bench/guests/echo") })
	}
	panic("BUG: no guest " + name)
}
