package host_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/guest"
)

func abiText(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// docs/abi.md is normative: each function of an ABI is there with the signature
// that the code has, below the ABI's own heading.
func TestTheTextOfTheABIsHasEachSignature(t *testing.T) {
	for _, a := range []guest.ABI{conn.ABI(), conn.ServerABI(), httpwasm.ABI()} {
		_, section, ok := strings.Cut(abiText(t), "`"+a.ImportModule+"`\n")
		if !ok {
			t.Fatalf("docs/abi.md has no heading with %s", a.ImportModule)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		types := map[string]guest.Type{}
		for _, f := range a.Funcs {
			types[f.Name] = f.Type
		}
		for _, f := range append(a.Required, a.Optional...) {
			types[f.Name] = f.Type
		}
		for name, want := range types {
			signature := regexp.MustCompile("`" + name + `\(([^)]*)\)(?: → (i32|i64))?` + "`").FindStringSubmatch(section)
			if signature == nil {
				t.Errorf("docs/abi.md has no signature of %s.%s", a.ImportModule, name)
				continue
			}
			params, results := "", signature[2]
			for param := range strings.SplitSeq(signature[1], ", ") {
				params += regexp.MustCompile(` ?(i32|i64)$`).FindString(param)
			}
			code := strings.NewReplacer(" ", "", "i32", "i", "i64", "I")
			if got := guest.Signature(code.Replace(params), code.Replace(results)); got != want {
				t.Errorf("docs/abi.md: the signature of %s.%s is another one: %s", a.ImportModule, name, signature[0])
			}
		}
	}
}

// Every name of package sdk/abi that a guest sees, and every error number, is in
// docs/abi.md.
func TestTheTextOfTheABIsHasEachNameAndErrorNumber(t *testing.T) {
	const file = "../sdk/abi/abi.go"
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, found := abiText(t), 0
	ast.Inspect(syntax, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		want := ""
		if typed, ok := spec.Type.(*ast.Ident); ok && typed.Name == "Errno" {
			want = "| " + literal.Value + " | `" + spec.Names[0].Name + "` |"
		} else if literal.Kind == token.STRING {
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			want = "`" + name
		}
		if want == "" {
			return true
		}
		found++
		if !strings.Contains(text, want) {
			t.Errorf("docs/abi.md has no %s", want)
		}
		return true
	})
	if found < 40 {
		t.Errorf("only %d names were found in %s", found, file)
	}
}
