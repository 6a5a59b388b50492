package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// entry is one entry of a master file: its words, without comments, with the
// lines that parentheses join made one.
type entry struct {
	line int // where it begins, from 1
	// indented entries have no owner: it is that of the entry before.
	indented bool
	words    []word
}

// word is one item of an entry.
type word struct {
	text   string
	quoted bool
}

// lex splits a master file into its entries (RFC 1035, section 5.1).
func lex(text string) ([]entry, error) {
	var entries []entry
	var e entry
	depth := 0 // of parentheses
	for i, line := range strings.Split(text, "\n") {
		if depth == 0 {
			e = entry{line: i + 1, indented: strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")}
		}
		var err error
		if depth, err = e.addLine(line, depth); err != nil {
			return nil, fmt.Errorf("zone line %d: %w", i+1, err)
		}
		if depth == 0 && len(e.words) > 0 {
			entries = append(entries, e)
		}
	}
	if depth > 0 {
		return nil, fmt.Errorf("zone line %d: a parenthesis is not closed", e.line)
	}
	return entries, nil
}

// addLine adds the words of one line and returns how many parentheses are open
// after it.
func (e *entry) addLine(line string, depth int) (int, error) {
	for line = strings.Trim(line, " \t\r"); line != ""; line = strings.TrimLeft(line, " \t") {
		switch line[0] {
		case ';':
			return depth, nil
		case '(':
			depth, line = depth+1, line[1:]
		case ')':
			depth, line = depth-1, line[1:]
			if depth < 0 {
				return 0, errors.New("a parenthesis is closed that was not opened")
			}
		case '"':
			text, rest, err := quotedString(line[1:])
			if err != nil {
				return 0, err
			}
			e.words = append(e.words, word{text, true})
			line = rest
		default:
			end := strings.IndexAny(line, " \t;()\"")
			if end < 0 {
				end = len(line)
			}
			e.words = append(e.words, word{line[:end], false})
			line = line[end:]
		}
	}
	return depth, nil
}

// quotedString reads up to the closing quote. A backslash takes the next
// character as it is, or three digits as the number of a byte.
func quotedString(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] != '\\':
			b.WriteByte(s[i])
		case i+3 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
			n, err := strconv.ParseUint(s[i+1:i+4], 10, 8)
			if err != nil {
				return "", "", fmt.Errorf("want a byte from \\000 to \\255, got %s", s[i:i+4])
			}
			b.WriteByte(byte(n))
			i += 3
		case i+1 < len(s):
			i++
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("a quote is not closed on its line")
}
