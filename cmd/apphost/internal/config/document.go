package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// document is one TOML file, parsed, with the place of every key.
type document struct {
	name  string
	order int // among the files read, for the order of faults
	root  map[string]any
	at    map[string]position // by full key path
}

// parse reads TOML. The fault is the first of its syntax: a parser cannot
// know what the rest of a broken file means.
func parse(name string, text []byte) (*document, *fault) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // byte order mark
	if i := invalidUTF8(text); i >= 0 {
		return nil, &fault{file: name, at: placesIn(string(text)).of(i), problem: "is not UTF-8 text"}
	}
	doc := &document{name: name, root: map[string]any{}}
	_, err := toml.Decode(string(text), &doc.root)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		at := position{syntax.Position.Line, max(syntax.Position.Col, 1)}
		return nil, &fault{file: name, at: at, problem: sentence(syntax.Message)}
	}
	if err != nil {
		return nil, &fault{file: name, problem: sentence(err.Error())}
	}
	if deeper(doc.root, depthMax) {
		return nil, &fault{file: name, problem: fmt.Sprintf("has tables or lists nested deeper than %d", depthMax)}
	}
	doc.at = keyPositions(string(text))
	return doc, nil
}

// deeper reports whether v holds values more than levels down.
func deeper(v any, levels int) bool {
	if levels < 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			if deeper(inner, levels-1) {
				return true
			}
		}
	case []map[string]any:
		for _, inner := range v {
			if deeper(inner, levels-1) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if deeper(inner, levels-1) {
				return true
			}
		}
	}
	return false
}

// invalidUTF8 is the offset of the first byte that is not text, or -1.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// sentence gives a parser's message the shape of ours: no capital, no stop.
func sentence(message string) string {
	message = strings.TrimSuffix(strings.TrimPrefix(message, "toml: "), ".")
	first, size := utf8.DecodeRuneInString(message)
	return string(unicode.ToLower(first)) + message[size:]
}

// place is the position of the key, else of the nearest table around it that
// the file holds, else the zero position.
func (doc *document) place(path string) position {
	for path != "" {
		if at, ok := doc.at[path]; ok {
			return at
		}
		path = parent(path)
	}
	return position{}
}
