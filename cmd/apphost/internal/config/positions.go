package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// keyPositions returns the place of every key of text, by its full path, such
// as "mpm.start_servers" or "listen[1].plugin". The parser keeps places to
// itself, and one per name where a list of tables has several, so this reads
// the text again. text must be valid TOML: what is not makes the result
// wrong, but never makes it fail.
func keyPositions(text string) map[string]position {
	s := &scanner{
		text:   text,
		places: placesIn(text),
		at:     map[string]position{},
		counts: map[string]int{},
	}
	for s.space(); s.i < len(s.text); s.space() {
		before := s.i
		if s.peek() == '[' {
			s.header()
		} else {
			s.assignment(s.table)
		}
		if s.i == before { // not TOML
			break
		}
	}
	return s.at
}

// scanner walks valid TOML and notes where keys are.
type scanner struct {
	text   string
	i      int // the offset of what is next
	places places
	at     map[string]position
	table  string         // the path of the table of the last header
	counts map[string]int // elements so far, by the path of a list of tables
}

// header reads "[a.b]" or "[[a.b]]".
func (s *scanner) header() {
	start := s.i
	list := strings.HasPrefix(s.text[s.i:], "[[")
	s.skip("[")
	path := ""
	parts := s.key()
	for n, part := range parts {
		path = join(path, part)
		last := n == len(parts)-1
		if last && list {
			s.mark(path, start)
			s.counts[path]++
		}
		if count := s.counts[path]; count > 0 {
			path = element(path, count-1)
		}
		if last {
			s.at[path] = s.places.of(start) // before a mention in another header
		} else {
			s.mark(path, start)
		}
	}
	s.skip(" \t]")
	s.table = path
}

// assignment reads "a.b = value" in the table at path.
func (s *scanner) assignment(path string) {
	start := s.i
	for _, part := range s.key() {
		path = join(path, part)
		s.mark(path, start)
	}
	s.skip("=")
	s.skip(" \t")
	s.value(path)
}

// value reads a value and notes the keys inside it.
func (s *scanner) value(path string) {
	rest := s.text[s.i:]
	switch {
	case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
		s.longString(rest[:3])
	case strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, `'`):
		s.quoted()
	case strings.HasPrefix(rest, "["):
		s.i++
		for n := 0; s.within(']'); n++ {
			s.mark(element(path, n), s.i)
			s.value(element(path, n))
		}
	case strings.HasPrefix(rest, "{"):
		s.i++
		for s.within('}') {
			s.assignment(path)
		}
	default: // a number, a boolean, a time
		if n := strings.IndexAny(rest, ",]}#\n"); n >= 0 {
			s.i += n
		} else {
			s.i = len(s.text)
		}
	}
}

// within moves to the next element of a list or inline table, or past its
// end and reports false.
func (s *scanner) within(end byte) bool {
	for s.space(); s.peek() == ','; s.space() {
		s.i++
	}
	if s.i >= len(s.text) {
		return false
	}
	if s.peek() == end {
		s.i++
		return false
	}
	return true
}

// key reads the parts of a dotted key.
func (s *scanner) key() []string {
	var parts []string
	for {
		s.skip(" \t")
		if s.peek() == '"' || s.peek() == '\'' {
			parts = append(parts, s.quoted())
		} else {
			start := s.i
			for s.i < len(s.text) && !strings.ContainsRune(" \t\r\n.=]", rune(s.text[s.i])) {
				s.i++
			}
			parts = append(parts, s.text[start:s.i])
		}
		s.skip(" \t")
		if s.peek() != '.' {
			return parts
		}
		s.i++
	}
}

// quoted reads a string of one line and returns its value.
func (s *scanner) quoted() string {
	start, quote := s.i, s.text[s.i]
	for s.i++; s.i < len(s.text) && s.text[s.i] != quote; s.i++ {
		if quote == '"' && s.text[s.i] == '\\' {
			s.i++
		}
	}
	s.i = min(s.i+1, len(s.text))
	raw := s.text[start:s.i]
	var unquoted struct{ Key string }
	if _, err := toml.Decode("Key = "+raw, &unquoted); err != nil {
		return raw // not TOML
	}
	return unquoted.Key
}

// longString reads a string in triple quotes. Up to two more quotes before
// its end belong to it.
func (s *scanner) longString(quotes string) {
	for s.i += 3; s.i < len(s.text) && !strings.HasPrefix(s.text[s.i:], quotes); s.i++ {
		if quotes == `"""` && s.text[s.i] == '\\' {
			s.i++
		}
	}
	s.i = min(s.i+3, len(s.text))
	for n := 0; n < 2 && s.peek() == quotes[0]; n++ {
		s.i++
	}
}

// space skips blanks, ends of lines and comments.
func (s *scanner) space() {
	for s.skip(" \t\r\n"); s.peek() == '#'; s.skip(" \t\r\n") {
		if n := strings.IndexByte(s.text[s.i:], '\n'); n >= 0 {
			s.i += n
		} else {
			s.i = len(s.text)
		}
	}
}

func (s *scanner) skip(set string) {
	for s.i < len(s.text) && strings.IndexByte(set, s.text[s.i]) >= 0 {
		s.i++
	}
}

// peek is the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.text) {
		return s.text[s.i]
	}
	return 0
}

// mark notes the place of path unless it has one.
func (s *scanner) mark(path string, offset int) {
	if _, ok := s.at[path]; !ok {
		s.at[path] = s.places.of(offset)
	}
}

// places turns offsets into positions: it holds where each line starts.
type places []int

func placesIn(text string) places {
	starts := places{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (p places) of(offset int) position {
	line := sort.SearchInts(p, offset+1)
	return position{line, offset - p[line-1] + 1}
}

// join is the path of a key of the table at path. A key that is not a bare
// word is quoted.
func join(path, key string) string {
	if !isBare(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// element is the path of an element of the list at path.
func element(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// parent is the path of what holds path; "" is the file.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

func isBare(key string) bool {
	for _, r := range key {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return key != ""
}
