package command

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

// sink is the response of an exchange. Any other use of it panics.
type sink struct {
	exchange.Exchange
	fields sinkHeader
	status int
	body   []byte
}

func (s *sink) Header(exchange.Kind) exchange.Header { return &s.fields }

func (s *sink) SetStatus(code int) error {
	s.status = code
	return nil
}

func (s *sink) Write(p []byte) (int, error) {
	s.body = append(s.body, p...)
	return len(p), nil
}

type sinkHeader struct {
	exchange.Header
	lines []string
}

func (h *sinkHeader) Add(name, value []byte) error {
	if len(name) == 0 || bytes.ContainsAny(name, " :\r\n\x00") || bytes.ContainsAny(value, "\r\n\x00") {
		return exchange.ErrInvalid
	}
	h.lines = append(h.lines, fmt.Sprintf("%s: %s", name, value))
	return nil
}

// FuzzResponse: whatever a program writes, and in whatever parts, it is read the
// same; all of it is taken; a body is sent only behind a header that was
// understood; and no line end gets into a field.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		"Content-Type: text/plain\n\nbody", "Status: 404 Nowhere\r\nX: 1\r\n\r\nbody\n\n", "Location: /x\n\n", "Location: //x/y\r\n\n",
		"\n\n", "", "no colon\n\n", "Status: 99\n\n", "Status: 200\nStatus: 1000\n\nx", ": empty\n\n", "A: b\r\r\n\n", "A\r: b\n\nx",
		"A: b\n c: d\n\n", "A: \x00\n\n", "Status:\n\n", "A: b\n\r\r\n\r\n",
	} {
		f.Add([]byte(text), uint8(1))
		f.Add([]byte(text), uint8(7))
	}
	f.Fuzz(func(t *testing.T, out []byte, part uint8) {
		if len(out) > headerBytesMax+1000 {
			return
		}
		whole, parts := respond(t, out, len(out)), respond(t, out, max(int(part), len(out)/100, 1))
		if fmt.Sprint(whole.err) != fmt.Sprint(parts.err) || whole.status != parts.status || whole.elsewhere != parts.elsewhere ||
			!bytes.Equal(whole.body, parts.body) || !slices.Equal(whole.lines, parts.lines) {
			t.Errorf("in one: %+v\nin parts of %d: %+v", whole, part, parts)
		}
		if whole.err != nil {
			if len(whole.body) > 0 {
				t.Errorf("a body was sent in spite of %v", whole.err)
			}
			return
		}
		if !bytes.HasSuffix(out, whole.body) {
			t.Errorf("body %q", whole.body)
		}
		if head := out[:len(out)-len(whole.body)]; !bytes.HasSuffix(head, []byte("\n\n")) && !bytes.HasSuffix(head, []byte("\n\r\n")) {
			t.Errorf("the header %q does not end in an empty line", head)
		}
		if whole.status != 0 && (whole.status < 200 || whole.status > 999) {
			t.Errorf("status %d", whole.status)
		}
	})
}

// read is what became of a program's output.
type read struct {
	err       error
	status    int
	elsewhere string
	lines     []string
	body      []byte
}

func respond(t *testing.T, out []byte, part int) read {
	x := &sink{}
	r := &response{x: x}
	for p := range slices.Chunk(out, max(part, 1)) {
		if n, err := r.Write(p); n != len(p) || err != nil {
			t.Fatalf("took %d of %d: %v", n, len(p), err)
		}
	}
	return read{r.end(), x.status, r.elsewhere, x.fields.lines, x.body}
}
