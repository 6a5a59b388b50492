package repo_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The limits of the tidy rules.
const (
	funcLinesMax     = 70
	testFuncLinesMax = 100 // a table counts
	fileLinesMax     = 400
	fileBytesMax     = 256 << 10
)

// vagueNames are package names that say nothing of what is inside.
var vagueNames = []string{"util", "utils", "common", "manager", "helper", "helpers", "misc"}

// checkPackageNames refuses names that say nothing.
func checkPackageNames(tr *tree) []string {
	var faults []string
	for _, f := range tr.goFiles {
		dir, name := path.Base(path.Dir(f.path)), f.syntax.Name.Name
		for _, vague := range vagueNames {
			if name == vague || dir == vague {
				faults = append(faults, fmt.Sprintf("%s: package %q says nothing: name it for what it does", tr.pos(f.syntax.Package), vague))
			}
		}
	}
	return faults
}

// checkPackageDocs wants exactly one package comment in each package.
func checkPackageDocs(tr *tree) []string {
	docs := map[string][]string{}
	var faults []string
	for _, f := range tr.code() {
		doc := f.syntax.Doc
		if doc == nil {
			continue
		}
		docs[f.pkg()] = append(docs[f.pkg()], f.path)
		name := f.syntax.Name.Name
		if want := "Package " + name + " "; name != "main" && !strings.HasPrefix(doc.Text(), want) {
			faults = append(faults, fmt.Sprintf("%s: start the package comment with %q", tr.pos(doc.Pos()), want))
		}
	}
	for _, pkg := range tr.packages() {
		switch in := docs[pkg]; {
		case len(in) == 0:
			faults = append(faults, pkg+": no package comment: say what the package is for above its package clause, in one file")
		case len(in) > 1:
			faults = append(faults, fmt.Sprintf("%s: package comment in %s: keep one", pkg, strings.Join(in, " and ")))
		}
	}
	return faults
}

// checkSleep refuses sleeping in tests and in packages that serve tests.
func checkSleep(tr *tree) []string {
	var faults []string
	for _, f := range tr.goFiles {
		if !f.test() && !servesTests(f.pkg()) {
			continue
		}
		for _, use := range f.uses() {
			if use.name == "time.Sleep" && !tr.allowed("sleep "+f.path) {
				faults = append(faults, fmt.Sprintf("%s: time.Sleep: wait for the event itself (a pipe, a channel, a poll with a deadline)", tr.pos(use.pos)))
			}
		}
	}
	return faults
}

// trapping are the packages that run in guests, where a panic is a trap: it
// ends the guest's instance and is how the SDK tells an author of misuse.
var trapping = []string{"./sdk/...", "./examples/..."}

// checkPanic wants every panic of the server to be a bug by its message.
func checkPanic(tr *tree) []string {
	var faults []string
	for _, f := range tr.code() {
		if matchAny(trapping, f.pkg()) || servesTests(f.pkg()) {
			continue
		}
		for _, decl := range f.syntax.Decls {
			key := "panic " + f.path + " " + declName(decl)
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "panic" || len(call.Args) != 1 ||
					startsWithBug(call.Args[0]) || tr.allowed(key) {
					return true
				}
				faults = append(faults, fmt.Sprintf(`%s: panic without a "BUG: " literal: return an error, or say which impossible thing happened (or allow %q)`, tr.pos(call.Pos()), key))
				return true
			})
		}
	}
	return faults
}

// startsWithBug reports whether the first string literal of x begins so.
func startsWithBug(x ast.Expr) bool {
	var first *ast.BasicLit
	ast.Inspect(x, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && first == nil {
			first = lit
		}
		return first == nil
	})
	return first != nil && strings.HasPrefix(first.Value[1:], "BUG: ")
}

// declName is the declared function's name, with its receiver's type.
func declName(decl ast.Decl) string {
	fn, ok := decl.(*ast.FuncDecl)
	if !ok {
		return "var"
	}
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// checkLength bounds functions and files.
func checkLength(tr *tree) []string {
	var faults []string
	for _, f := range tr.goFiles {
		if n := tr.fset.File(f.syntax.FileStart).LineCount(); n > fileLinesMax && !tr.allowed("length "+f.path) {
			faults = append(faults, fmt.Sprintf("%s: %d lines, at most %d: split it by subject (or allow %q)", f.path, n, fileLinesMax, "length "+f.path))
		}
		limit := funcLinesMax
		if f.test() {
			limit = testFuncLinesMax
		}
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := tr.fset.Position(fn.End()).Line - tr.fset.Position(fn.Pos()).Line + 1
			if key := "length " + f.path + " " + declName(decl); n > limit && !tr.allowed(key) {
				faults = append(faults, fmt.Sprintf("%s: %s has %d lines, at most %d: split it (or allow %q)", tr.pos(fn.Pos()), declName(decl), n, limit, key))
			}
		}
	}
	return faults
}

// fuzzScript runs every fuzz target that go test lists.
const fuzzScript = ".ci/fuzz"

// checkFuzz refuses a fuzz target that no command runs: fuzzScript finds the
// targets with go test -list, so a target must be in a test file that is
// built by default on Linux, and CI and the Justfile must run the script.
func checkFuzz(tr *tree) []string {
	var faults []string
	targets := 0
	for _, f := range tr.goFiles {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			targets++
			if !f.test() {
				faults = append(faults, fmt.Sprintf("%s: %s outside of a _test.go file: go test never runs it", tr.pos(fn.Pos()), fn.Name.Name))
			}
			if c := f.constraint(); c != "" && c != "//go:build linux" {
				faults = append(faults, fmt.Sprintf("%s: %s behind %q: go test never runs it", tr.pos(fn.Pos()), fn.Name.Name, c))
			}
		}
	}
	for _, runner := range []string{".ci/run", "Justfile"} {
		if text, _ := tr.text(runner); targets > 0 && !strings.Contains(text, fuzzScript) {
			faults = append(faults, fmt.Sprintf("%s: does not run %s, so no fuzz target runs", runner, fuzzScript))
		}
	}
	return faults
}

// constraint returns the file's build constraint line, or "".
func (f *goFile) constraint() string {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if c.Pos() < f.syntax.Package && strings.HasPrefix(c.Text, "//go:build ") {
				return c.Text
			}
		}
	}
	return ""
}

// checkSize bounds every file.
func checkSize(tr *tree) []string {
	var faults []string
	for _, name := range tr.files {
		info, err := fs.Stat(tr.fsys, name)
		if err != nil {
			faults = append(faults, err.Error())
		} else if info.Size() > fileBytesMax && !tr.allowed("size "+name) {
			faults = append(faults, fmt.Sprintf("%s: %d bytes, at most %d: build it from source instead of keeping it", name, info.Size(), fileBytesMax))
		}
	}
	return faults
}

// The words are in two pieces so that this file does not hold them.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

// checkUnfinished refuses marks of work left undone in text files.
func checkUnfinished(tr *tree) []string {
	var faults []string
	for _, name := range tr.files {
		data, err := fs.ReadFile(tr.fsys, name)
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			continue
		}
		for n, line := range slices.Collect(strings.Lines(string(data))) {
			if word := unfinished.FindString(line); word != "" && !strings.Contains(name, "testdata/") {
				faults = append(faults, fmt.Sprintf("%s:%d: %s: do it, or open an issue", name, n+1, word))
			}
		}
	}
	return faults
}
