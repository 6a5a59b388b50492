package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The formats that have names.
const (
	Common   = "common"
	Combined = "combined"
	JSON     = "json"
)

// The formats of httpd that have names there, too.
const (
	commonFormat   = `%h %l %u %t "%r" %>s %b`
	combinedFormat = commonFormat + ` "%{Referer}i" "%{User-Agent}i"`
)

// kind is what an item of a format stands for.
type kind uint8

const (
	literal kind = iota
	absent       // what we do not know: always "-"
	remoteHost
	clock
	requestLine
	method
	path
	query
	protocol
	status
	bodyBytes
	bodyBytesOrDash
	sentBytes
	microseconds
	seconds
	hostHeader
	requestID
	requestField
	plugin
	route
	listener
	guestMicroseconds
	generation
	slot
	connection
)

// item is a piece of a format.
type item struct {
	kind   kind
	text   string // of a literal
	field  int    // of a requestField: its place in format.fields
	quoted bool   // it stands within quotes
}

// format is a format string, taken apart.
type format struct {
	items []item
	json  bool
	// fields are the names of the request's header fields that it needs, in
	// lower case, and each once.
	fields []string
}

// byLetter is one of httpd's directives of one letter.
func byLetter(c byte) (kind, bool) {
	switch c {
	case 'h', 'a':
		return remoteHost, true
	case 'l', 'u':
		return absent, true
	case 't':
		return clock, true
	case 'r':
		return requestLine, true
	case 'm':
		return method, true
	case 'U':
		return path, true
	case 'q':
		return query, true
	case 'H':
		return protocol, true
	case 's':
		return status, true
	case 'b':
		return bodyBytesOrDash, true
	case 'B':
		return bodyBytes, true
	case 'O':
		return sentBytes, true
	case 'D':
		return microseconds, true
	case 'T':
		return seconds, true
	case 'v', 'V':
		return hostHeader, true
	case 'L':
		return requestID, true
	}
	return 0, false
}

// byName is one of ours, which are written %{NAME}x.
func byName(name string) (kind, bool) {
	switch name {
	case "plugin":
		return plugin, true
	case "guest_us":
		return guestMicroseconds, true
	case "route":
		return route, true
	case "listener":
		return listener, true
	case "generation":
		return generation, true
	case "slot":
		return slot, true
	case "connection":
		return connection, true
	}
	return 0, false
}

// formatBytesMax is the longest format: the values need room, too.
const formatBytesMax = 1000

// fieldsMax is the most header fields that a format may name.
const fieldsMax = 16

// CheckFormat reports what is wrong with a format: one that has a name, or one
// in the words of httpd's LogFormat.
func CheckFormat(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (format, error) {
	f := format{}
	switch text {
	case Common:
		text = commonFormat
	case Combined:
		text = combinedFormat
	case JSON:
		return format{json: true, fields: []string{"host", "referer", "user-agent"}}, nil
	}
	if !strings.Contains(text, "%") {
		return f, fmt.Errorf(`it is neither "common", "combined" nor "json", nor has it anything with %% in it, got %q`, text)
	}
	if len(text) > formatBytesMax {
		return f, fmt.Errorf("it is longer than %d bytes", formatBytesMax)
	}
	quoted := false
	for text != "" {
		before, rest, found := strings.Cut(text, "%")
		for _, c := range []byte(before) {
			if c < ' ' || c == 0x7f {
				return f, errors.New("it must not hold control characters")
			}
			quoted = quoted != (c == '"')
		}
		f.literal(before)
		if !found {
			break
		}
		var err error
		if text, err = f.directive(rest, quoted); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *format) literal(text string) {
	if text != "" {
		f.items = append(f.items, item{kind: literal, text: text})
	}
}

// directive takes the one that text begins with, after the %, and returns what
// follows.
func (f *format) directive(text string, quoted bool) (rest string, err error) {
	text = strings.TrimLeft(text, "<>") // of an internal redirect: there are no two requests here
	if text == "" {
		return "", errors.New("it ends in the middle of a %; write %% for one")
	}
	if text[0] == '%' {
		f.literal("%")
		return text[1:], nil
	}
	if text[0] != '{' {
		k, ok := byLetter(text[0])
		if !ok {
			return "", fmt.Errorf("%q is not known here", "%"+text[:1])
		}
		if k == hostHeader {
			f.items = append(f.items, item{kind: requestField, field: f.need("host"), quoted: quoted})
			return text[1:], nil
		}
		f.items = append(f.items, item{kind: k, quoted: quoted})
		return text[1:], nil
	}
	name, after, ok := strings.Cut(text[1:], "}")
	if !ok || after == "" {
		return "", fmt.Errorf("%q has no end; it is %%{NAME}i for a header field, or %%{NAME}x", "%"+text)
	}
	k, known := byName(name)
	switch {
	case after[0] == 'x' && known:
		f.items = append(f.items, item{kind: k, quoted: quoted})
	case after[0] == 'i' && name != "" && !secret(name):
		f.items = append(f.items, item{kind: requestField, field: f.need(name), quoted: quoted})
	case after[0] == 'i' && secret(name):
		return "", fmt.Errorf("%q would write passwords to the log", "%{"+name+"}i")
	default:
		return "", fmt.Errorf("%q is not known here", "%{"+name+"}"+after[:1])
	}
	if len(f.fields) > fieldsMax {
		return "", fmt.Errorf("it names more than %d header fields", fieldsMax)
	}
	return after[1:], nil
}

// secret reports whether a header field is a password, or as good as one.
func secret(name string) bool {
	return slices.Contains([]string{"authorization", "proxy-authorization", "cookie"}, strings.ToLower(name))
}

// need returns the place of a header field.
func (f *format) need(name string) int {
	name = strings.ToLower(name)
	if i := slices.Index(f.fields, name); i >= 0 {
		return i
	}
	f.fields = append(f.fields, name)
	return len(f.fields) - 1
}
