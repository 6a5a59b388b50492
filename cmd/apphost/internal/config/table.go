package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table is one TOML table while it is read. Each method that takes a key
// makes that key known, leaves the destination alone if the key is absent,
// and notes a fault if its value is of another type; done then finds the
// keys that nothing asked for.
type table struct {
	d       *decoder
	doc     *document
	path    string // "" is the file itself
	values  map[string]any
	known   []string // keys asked for
	old     []string // names that keys had, asked for, too
	refused []string // keys with a fault of their own
}

func (t *table) has(key string) bool { _, ok := t.values[key]; return ok }

// fault notes that the value of key is wrong.
func (t *table) fault(key, format string, args ...any) {
	t.refused = append(t.refused, key)
	path := join(t.path, key)
	t.d.faults = append(t.d.faults, t.doc.fault(path, fmt.Sprintf(format, args...)))
}

func (t *table) warn(key, format string, args ...any) {
	t.d.warnings = append(t.d.warnings, t.doc.fault(join(t.path, key), fmt.Sprintf(format, args...)))
}

func (doc *document) fault(path, problem string) *fault {
	return &fault{file: doc.name, order: doc.order, at: doc.place(path), key: path, problem: problem}
}

// What a key takes, as the reference of all settings says it.
const (
	kindText     = "text"
	kindTexts    = "list of texts"
	kindInteger  = "integer"
	kindBoolean  = "boolean"
	kindDuration = "duration"
	kindSize     = "size"
	kindTable    = "table"
	kindEnv      = "table of texts"
	kindTables   = "list of tables"
	// of warm_up only
	kindPathOrCount = "text or integer"
)

func (t *table) value(key, kind string) (any, bool) {
	t.known = append(t.known, key)
	t.d.kinds[join(t.path, key)] = kind
	v, ok := t.values[key]
	return v, ok
}

// refusedKey reports whether the value of key had a fault.
func (t *table) refusedKey(key string) bool { return slices.Contains(t.refused, key) }

// text reads a string. It reports whether there is one.
func (t *table) text(key string, dst *string) bool {
	v, ok := t.value(key, kindText)
	if !ok {
		return false
	}
	s, ok := v.(string)
	if !ok {
		t.fault(key, "must be a string in quotes, got %s", describe(v))
		return false
	}
	*dst = s
	return true
}

// choice reads a string that is one of a few.
func (t *table) choice(key string, dst *string, choices ...string) bool {
	var s string
	if !t.text(key, &s) {
		return false
	}
	if !slices.Contains(choices, s) {
		t.fault(key, "must be one of %s, got %q", quotedList(choices), s)
		return false
	}
	*dst = s
	return true
}

// texts reads a list of strings. It reports whether there is one.
func (t *table) texts(key string, dst *[]string) bool {
	v, ok := t.value(key, kindTexts)
	if !ok {
		return false
	}
	list, ok := v.([]any)
	if !ok {
		t.fault(key, `must be a list of strings, such as ["a", "b"], got %s`, describe(v))
		return false
	}
	texts := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			t.fault(key, "must be a list of strings in quotes, got one with %s", describe(v))
			return false
		}
		texts = append(texts, s)
	}
	*dst = texts
	return true
}

func (t *table) integer(key string, dst *int) bool {
	v, ok := t.value(key, kindInteger)
	if !ok {
		return false
	}
	n, ok := v.(int64)
	if !ok {
		t.fault(key, "must be an integer, got %s", describe(v))
		return false
	}
	if int64(int(n)) != n {
		t.fault(key, "is too large: %d", n)
		return false
	}
	*dst = int(n)
	return true
}

func (t *table) boolean(key string, dst *bool) {
	v, ok := t.value(key, kindBoolean)
	if !ok {
		return
	}
	on, ok := v.(bool)
	if !ok {
		t.fault(key, "must be true or false, without quotes, got %s", describe(v))
		return
	}
	*dst = on
}

// duration reads a string such as "30s". It reports whether there is one.
func (t *table) duration(key string, dst *time.Duration) bool {
	v, ok := t.value(key, kindDuration)
	if !ok {
		return false
	}
	s, ok := v.(string)
	if n, isInt := v.(int64); isInt {
		t.fault(key, `must be a duration with its unit, in quotes: for seconds, write "%ds"`, n)
		return false
	}
	if !ok {
		t.fault(key, `must be a duration in quotes, such as "30s", got %s`, describe(v))
		return false
	}
	duration, err := time.ParseDuration(s)
	if err != nil {
		if _, err := strconv.Atoi(s); err == nil {
			t.fault(key, `has no unit; for seconds, write "%ss"`, s)
			return false
		}
		t.fault(key, `must be a duration such as "500ms", "30s" or "1h30m", got %q`, s)
		return false
	}
	*dst = duration
	return true
}

// size reads a string such as "64MiB" that is from least to most bytes.
func (t *table) size(key string, dst *uint64, least, most uint64) bool {
	v, ok := t.value(key, kindSize)
	if !ok {
		return false
	}
	s, ok := v.(string)
	if !ok {
		t.fault(key, `must be a size with its unit, in quotes, such as "64MiB", got %s`, describe(v))
		return false
	}
	n, err := parseSize(s)
	if err != nil {
		t.fault(key, "%s", err)
		return false
	}
	if n < least || n > most {
		t.fault(key, "must be from %s to %s, got %s", formatSize(least), formatSize(most), s)
		return false
	}
	*dst = n
	return true
}

// table reads a table; an absent one is empty.
func (t *table) table(key string) *table {
	inner := &table{d: t.d, doc: t.doc, path: join(t.path, key)}
	v, ok := t.value(key, kindTable)
	if !ok {
		return inner
	}
	switch v := v.(type) {
	case map[string]any:
		inner.values = v
	case []map[string]any:
		t.fault(key, "is one section: write [%s], not [[%s]]", inner.path, inner.path)
	default:
		t.fault(key, "must be a section: write [%s], got %s", inner.path, describe(v))
	}
	return inner
}

// tables reads a list of tables.
func (t *table) tables(key string) []*table {
	v, ok := t.value(key, kindTables)
	if !ok {
		return nil
	}
	var list []any
	switch v := v.(type) {
	case []map[string]any:
		for _, m := range v {
			list = append(list, m)
		}
	case []any:
		list = v
	default:
		t.fault(key, "is a list of sections: write [[%s]], got %s", join(t.path, key), describe(v))
	}
	var tables []*table
	for i, v := range list {
		path := element(join(t.path, key), i)
		values, ok := v.(map[string]any)
		if !ok {
			t.d.faults = append(t.d.faults, t.doc.fault(path, "must be a table, got "+describe(v)))
			continue
		}
		tables = append(tables, &table{d: t.d, doc: t.doc, path: path, values: values})
	}
	return tables
}

// done notes a fault for each key that nothing asked for.
func (t *table) done() {
	t.d.knownKeys(t)
	for key := range t.values {
		if slices.Contains(t.known, key) || slices.Contains(t.old, key) {
			continue
		}
		t.d.unknown = append(t.d.unknown, unknownKey{t, key})
	}
}

// describe names a value the way its writer thinks of it.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if v == math.Trunc(v) && !strings.ContainsAny(text, "e.I") {
			text += ".0" // else it would look like an integer
		}
		return "the number " + text
	case bool:
		return fmt.Sprintf("%t", v)
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	default:
		return "a list"
	}
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, ", ")
}
