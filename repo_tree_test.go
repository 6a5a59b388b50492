package repo_test

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is what the rules look at: the files of a repository, their Go code
// parsed for every system alike, and the lists of repo_test.go.
type tree struct {
	fsys    fs.FS
	files   []string // slash paths, sorted
	goFiles []*goFile
	fset    *token.FileSet

	edges []edge
	owed  []string
	allow map[string]string
	used  map[string]bool // keys of allow that excused something
}

// goFile is one parsed file outside of testdata.
type goFile struct {
	path   string
	syntax *ast.File
}

// loadRepository reads what git tracks, which is not what a visitor of the clone
// has built in it, or, where there is no git, every file that is not hidden.
func loadRepository() (*tree, error) {
	fsys := os.DirFS(".")
	files, err := gitFiles()
	if err != nil {
		files, err = allFiles(fsys)
	}
	if err != nil {
		return nil, err
	}
	tr, err := load(fsys, files)
	if err != nil {
		return nil, err
	}
	tr.edges, tr.owed, tr.allow = edges, owed, allow
	return tr, nil
}

func gitFiles() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached").Output()
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	files := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	// A file removed but not yet committed is still listed.
	return slices.DeleteFunc(files, func(f string) bool {
		_, err := os.Lstat(f)
		return err != nil
	}), nil
}

func allFiles(fsys fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p == ".git" {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			files = append(files, p)
		}
		return err
	})
	return files, err
}

// load parses the Go files among files.
func load(fsys fs.FS, files []string) (*tree, error) {
	slices.Sort(files)
	files = slices.Compact(files) // git lists a conflicted file once per side
	tr := &tree{fsys: fsys, files: files, fset: token.NewFileSet(), used: map[string]bool{}}
	var errs []error
	for _, name := range files {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		syntax, err := parser.ParseFile(tr.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		tr.goFiles = append(tr.goFiles, &goFile{name, syntax})
	}
	return tr, errors.Join(errs...)
}

// code returns the files that are not tests.
func (tr *tree) code() []*goFile {
	return slices.DeleteFunc(slices.Clone(tr.goFiles), (*goFile).test)
}

// packages returns the directories that hold code, as patterns.
func (tr *tree) packages() []string {
	var pkgs []string
	for _, f := range tr.code() {
		pkgs = append(pkgs, f.pkg())
	}
	slices.Sort(pkgs)
	return slices.Compact(pkgs)
}

// names reports whether pattern matches a package, written or owed.
func (tr *tree) names(pattern string) bool {
	return slices.ContainsFunc(slices.Concat(tr.packages(), tr.owed), func(p string) bool {
		return match(pattern, p)
	})
}

// exists reports whether name is a file, or a folder that holds one.
func (tr *tree) exists(name string) bool {
	name = path.Clean(name)
	return name == "." || slices.ContainsFunc(tr.files, func(f string) bool {
		return f == name || strings.HasPrefix(f, name+"/")
	})
}

// text reads a file, or returns false if it is owed or missing.
func (tr *tree) text(name string) (string, bool) {
	data, err := fs.ReadFile(tr.fsys, name)
	return string(data), err == nil
}

// allowed reports whether key is excused, and notes that it was needed.
func (tr *tree) allowed(key string) bool {
	_, ok := tr.allow[key]
	tr.used[key] = tr.used[key] || ok
	return ok
}

// pos gives "file:line".
func (tr *tree) pos(p token.Pos) string {
	at := tr.fset.Position(p)
	return at.Filename + ":" + strconv.Itoa(at.Line)
}

type importAt struct{ path, pos string }

// imports returns what the code of pkg imports, ours as patterns.
func (tr *tree) imports(pkg string) []importAt {
	var imports []importAt
	for _, f := range tr.code() {
		if f.pkg() != pkg {
			continue
		}
		for _, spec := range f.syntax.Imports {
			imports = append(imports, importAt{importPath(spec), tr.pos(spec.Pos())})
		}
	}
	slices.SortStableFunc(imports, func(a, b importAt) int { return cmp.Compare(a.path, b.path) })
	return imports
}

func importPath(spec *ast.ImportSpec) string {
	p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
	if p == module {
		return "."
	}
	if rest, ok := strings.CutPrefix(p, module+"/"); ok {
		return "./" + rest
	}
	return p
}

func (f *goFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// pkg is the file's package as a pattern: "./mpm", or "." for the root.
func (f *goFile) pkg() string {
	dir := path.Dir(f.path)
	if dir == "." {
		return dir
	}
	return "./" + dir
}

// servesTests reports whether pkg is for tests by its name, as httptest is.
func servesTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

type use struct {
	name string // importpath.Name
	pos  token.Pos
}

// uses returns every qualified identifier of the file. A local variable that
// shadows an import is taken for it; rename the variable.
func (f *goFile) uses() []use {
	local := map[string]string{}
	for _, spec := range f.syntax.Imports {
		p := importPath(spec)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		local[name] = p
	}
	var uses []use
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && local[x.Name] != "" {
			uses = append(uses, use{local[x.Name] + "." + sel.Sel.Name, sel.Pos()})
		}
		return true
	})
	return uses
}
