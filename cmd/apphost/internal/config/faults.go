package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// faultsMax bounds what is reported: past it, a file is not TOML for us.
const faultsMax = 100

// position is a place in a file; both count from 1, columns in bytes. The
// zero position is unknown.
type position struct{ line, column int }

// fault is one thing wrong with a file, or, as a warning, worth saying.
type fault struct {
	file    string
	order   int // of the file among those read
	at      position
	key     string // the full path of the key, or empty
	problem string
}

// Error is one line, such as
//
//	config.toml:12:5: mpm.start_servers: must be at least 1, got 0
func (f *fault) Error() string {
	var b strings.Builder
	b.WriteString(f.file)
	if f.at != (position{}) {
		fmt.Fprintf(&b, ":%d:%d", f.at.line, f.at.column)
	}
	b.WriteString(": ")
	if f.key != "" {
		b.WriteString(f.key + ": ")
	}
	b.WriteString(f.problem)
	return oneLine(b.String())
}

// faults gathers what is found, in any order.
type faults []*fault

// sorted orders by file, then by place; what has no place comes last.
func (fs faults) sorted() faults {
	sorted := slices.Clone(fs)
	unplaced := func(f *fault) int {
		if f.at == (position{}) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(sorted, func(a, b *fault) int {
		return cmp.Or(
			cmp.Compare(a.order, b.order),
			cmp.Compare(unplaced(a), unplaced(b)),
			cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.at.column, b.at.column),
		)
	})
	return sorted
}

// err joins the faults, or is nil.
func (fs faults) err() error {
	var errs []error
	for i, f := range fs.sorted() {
		if i == faultsMax {
			errs = append(errs, &fault{file: f.file, problem: fmt.Sprintf("and %d more faults", len(fs)-i)})
			break
		}
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

func (fs faults) lines() []string {
	var lines []string
	for _, f := range fs.sorted() {
		lines = append(lines, f.Error())
	}
	return lines
}

// oneLine writes control characters, which a file's name or a key can hold,
// as escapes.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
