package config

import (
	"maps"
	"testing"
)

func TestKeyPositions(t *testing.T) {
	text := `# comment [not] = a key
top = "a # b"
a.b."c.d" = '''
[not.a.table]''''' # three quotes and two
[ x . y ]
  z = [ 1, { in = 2 }, # x = 3
    [ "]" ] ]
[[list]]
k = """\""""""
[list.sub]
k = 1979-05-27 07:32:00
[[list]]
[[list.inner]]
"\u00e9" = {}
[x]
`
	want := map[string]position{
		"top": {2, 1}, "a": {3, 1}, "a.b": {3, 1}, `a.b."c.d"`: {3, 1},
		"x": {15, 1}, "x.y": {5, 1}, "x.y.z": {6, 3}, "x.y.z[0]": {6, 9}, "x.y.z[1]": {6, 12},
		"x.y.z[1].in": {6, 14}, "x.y.z[2]": {7, 5}, "x.y.z[2][0]": {7, 7},
		"list": {8, 1}, "list[0]": {8, 1}, "list[0].k": {9, 1},
		"list[0].sub": {10, 1}, "list[0].sub.k": {11, 1}, "list[1]": {12, 1},
		"list[1].inner": {13, 1}, "list[1].inner[0]": {13, 1}, `list[1].inner[0]."é"`: {14, 1},
	}
	doc, fault := parse("x.toml", []byte(text))
	if fault != nil {
		t.Fatal(fault)
	}
	if !maps.Equal(doc.at, want) {
		for path, at := range want {
			if doc.at[path] != at {
				t.Errorf("%s: got %v, want %v", path, doc.at[path], at)
			}
		}
		for path, at := range doc.at {
			if _, ok := want[path]; !ok {
				t.Errorf("%s at %v is no key", path, at)
			}
		}
	}
}

// Every value the parser finds must have a place, and every place a value:
// two readers of one text must agree.
func checkPlaces(t *testing.T, doc *document) {
	t.Helper()
	seen := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		seen[path] = true
		if _, ok := doc.at[path]; !ok && path != "" {
			t.Errorf("%s has no place", path)
		}
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(join(path, key), inner)
			}
		case []map[string]any:
			for i, inner := range v {
				walk(element(path, i), inner)
			}
		case []any:
			for i, inner := range v {
				walk(element(path, i), inner)
			}
		}
	}
	walk("", doc.root)
	for path, at := range doc.at {
		if !seen[path] {
			t.Errorf("%s at %v is no key", path, at)
		}
	}
}
