package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// entry is a request as web fills one in.
func entry(l *Log) *Entry {
	e := &Entry{}
	e.Begin()
	e.Trace = NewTrace("0a1b2c", 42)
	e.Trace.Next(false)
	e.Trace.plugin, e.Trace.guest = "shop", 40*time.Microsecond
	e.Began = time.Date(2026, 10, 10, 13, 55, 36, 123456789, time.FixedZone("", -7*3600))
	e.Took, e.Remote, e.Listener, e.Route, e.Connection = 1500*time.Microsecond, "[::1]:4711", "web", "/shop/", 42
	e.Status, e.BodyBytes, e.SentBytes = 200, 2326, 2500
	e.Request([]byte("GET"), []byte("/shop/a?b=1"), []byte("HTTP/1.1"))
	for _, f := range [][2]string{{"HOST", "example.com"}, {"Referer", "http://r/"}, {"user-agent", "curl/8"}, {"User-Agent", "second"}, {"X-Other", "o"}} {
		e.Field(l, []byte(f[0]), []byte(f[1]))
	}
	return e
}

func newLog(t testing.TB, format string) (*Log, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	l, err := New(Config{Format: format, To: &out, Generation: 7, Slot: 3, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l, &out
}

func TestFormats(t *testing.T) {
	const common = `::1 - - [10/Oct/2026:13:55:36 -0700] "GET /shop/a?b=1 HTTP/1.1" 200 2326`
	for _, tc := range []struct{ format, want string }{
		{Common, common},
		{Combined, common + ` "http://r/" "curl/8"`},
		{
			JSON, `{"time":"2026-10-10T20:55:36.123456Z","id":"0a1b2c-42-1","remote":"[::1]:4711","listener":"web","host":"example.com",` +
				`"method":"GET","uri":"/shop/a?b=1","protocol":"HTTP/1.1","status":200,"body_bytes":2326,"sent_bytes":2500,` +
				`"duration_us":1500,"plugin":"shop","guest_us":40,"route":"/shop/","referer":"http://r/","user_agent":"curl/8",` +
				`"generation":7,"slot":3,"connection":42}`,
		},
		{"%a %m %U%q %H %s %B %O %D %T %v %L 100%%", "::1 GET /shop/a?b=1 HTTP/1.1 200 2326 2500 1500 0 example.com 0a1b2c-42-1 100%"},
		{
			`%{plugin}x %{route}x %{listener}x %{guest_us}x %{generation}x %{slot}x %{connection}x "%{x-other}i" %{X-None}i`,
			`shop /shop/ web 40 7 3 42 "o" -`,
		},
		{"%r", `GET\x20/shop/a?b=1\x20HTTP/1.1`},
	} {
		l, _ := newLog(t, tc.format)
		if got := string(l.Append(nil, entry(l))); got != tc.want+"\n" {
			t.Errorf("%s:\n%s want\n%s", tc.format, got, tc.want)
		}
	}
}

func TestWhatIsNotThereIsADash(t *testing.T) {
	l, _ := newLog(t, Combined)
	e := &Entry{Trace: NewTrace("p", 1), Began: time.Unix(0, 0).UTC(), Remote: "@"}
	if got, want := string(l.Append(nil, e)), `unix - - [01/Jan/1970:00:00:00 +0000] "-" - - "-" "-"`+"\n"; got != want {
		t.Errorf("%s want %s", got, want)
	}
	l, _ = newLog(t, JSON)
	if got, want := string(l.Append(nil, e)), `{"time":"1970-01-01T00:00:00.000000Z","id":"p-1","remote":"@","sent_bytes":0,"duration_us":0,"generation":7,"slot":3,"connection":0}`+"\n"; got != want {
		t.Errorf("%s want %s", got, want)
	}
}

func TestFormatsAreChecked(t *testing.T) {
	for _, format := range []string{
		"", "combine", "%", "%y", "%{x}", "%{nothing}x", "%{}i", "%{Cookie}i", "%{Authorization}i", "a%h\nb",
		strings.Repeat("%h ", 400), "%{a}i%{b}i%{c}i%{d}i%{e}i%{f}i%{g}i%{h}i%{i}i%{j}i%{k}i%{l}i%{m}i%{n}i%{o}i%{p}i%{q}i",
	} {
		if err := CheckFormat(format); err == nil {
			t.Errorf("%q is taken", format)
		}
	}
}

// What the longest of everything makes is a whole line in each format of ours.
func TestALineIsBounded(t *testing.T) {
	long := bytes.Repeat([]byte{0xff, '"'}, 20<<10)
	for _, format := range []string{Common, Combined, JSON, strings.Repeat(`"%r"`, 10)} {
		l, _ := newLog(t, format)
		e := entry(l)
		e.Begin()
		e.Trace = NewTrace("0123456789ab", math.MaxUint64)
		e.Trace.request = math.MaxUint64 - 1
		e.Trace.plugin, e.Trace.guest = string(long), math.MaxInt64
		e.Began, e.Took = time.Now(), math.MaxInt64
		e.Remote, e.Listener, e.Route, e.Connection = string(long), string(long), string(long), math.MaxInt64
		e.Status, e.BodyBytes, e.SentBytes, e.Aborted = 999, math.MaxInt64, math.MaxInt64, true
		e.Request(long, long, long)
		for _, name := range l.format.fields {
			e.Field(l, []byte(name), long)
		}
		line := l.Append(nil, e)
		if len(line) > LineBytesMax || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("%s: %d bytes", format, len(line))
		}
		if strings.HasPrefix(format, `"`) {
			continue // is cut
		}
		if len(line) > LineBytesMax-64 {
			t.Errorf("%s: hardly room for %d bytes", format, len(line))
		}
		if format == JSON && !json.Valid(line) {
			t.Errorf("not an object: %s", line)
		}
	}
}

func TestALineNeedsNoMemory(t *testing.T) {
	for _, format := range []string{Common, Combined, JSON} {
		l, _ := newLog(t, format)
		e := entry(l)
		trace, began := e.Trace, e.Began
		buf := make([]byte, 0, LineBytesMax)
		method, target, protocol := []byte("GET"), []byte("/a"), []byte("HTTP/1.1")
		if n := testing.AllocsPerRun(100, func() {
			e.Begin()
			e.Trace, e.Began, e.Remote = trace, began, "203.0.113.200:12345"
			e.Route = "/a/path/that/is/longer/than/thirty-two/bytes"
			trace.Next(true)
			trace.Enter("plugin")
			trace.Leave()
			e.Request(method, target, protocol)
			buf = l.Append(buf[:0], e)
		}); n != 0 {
			t.Errorf("%s: %.1f allocations", format, n)
		}
	}
}

// failing is a file that fails as long as err is set.
type failing struct {
	err   error
	lines int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	f.lines++
	return len(p), nil
}

func TestLostLinesAreCountedAndToldOnce(t *testing.T) {
	var said bytes.Buffer
	to := &failing{}
	l, err := New(Config{Format: Common, To: to, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	l.Write([]byte("a\n"))
	for range 2 {
		said.Reset()
		to.err = errors.New("no space left on device")
		for range 3 {
			l.Write([]byte("b\n"))
		}
		to.err = nil
		l.Write([]byte("c\n"))
		l.Write([]byte("c\n"))
		if got := said.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "no space left") || !strings.Contains(got, "lines=3") {
			t.Errorf("said %q", got)
		}
	}
	if to.lines != 5 {
		t.Errorf("%d lines", to.lines)
	}
}

func TestOnlySoundIDsAreTaken(t *testing.T) {
	tr := NewTrace("p", 1)
	for id, want := range map[string]bool{
		"abc-1.2_3": true, "Root=1-67891233-abcdef012345678912345678": true, "a/b+c=": true, strings.Repeat("a", 64): true,
		"": false, "a b": false, "a\"b": false, "a\nb": false, "a,b": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		tr.Next(false)
		if got := tr.Take([]byte(id)); got != want {
			t.Errorf("%q is taken: %t", id, got)
		}
		if got := tr.ID(); want && got != id || !want && got == id {
			t.Errorf("%q: the id is %q", id, got)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("GET"), []byte("/a\"b\\c\n\x00\xff\u2028é"), []byte("x y"), 100)
	f.Fuzz(func(t *testing.T, method, target, agent []byte, room int) {
		for _, format := range []string{Combined, JSON, `%m %U %{user-agent}i`} {
			l, _ := newLog(t, format)
			e := entry(l)
			e.Begin()
			e.Trace = NewTrace("p", 1)
			e.Request(method, target, []byte("HTTP/1.1"))
			e.Field(l, []byte("user-agent"), agent)
			checkLine(t, format, l.Append(nil, e))
		}
		room = min(max(room, 0), 5000)
		for _, quoted := range []bool{true, false} {
			if n := len(appendEscaped(nil, target, room, quoted)); n > room+len(cutMark) {
				t.Errorf("%d bytes for %d", n, room)
			}
		}
		if n := len(appendJSON(nil, target, room)); n > room+len(cutMark)+2 {
			t.Errorf("%d bytes of JSON for %d", n, room)
		}
	})
}

// checkLine fails unless a line has the fields of its format and no others.
func checkLine(t *testing.T, format string, line []byte) {
	t.Helper()
	for _, c := range line[:len(line)-1] {
		if c < ' ' || c == 0x7f || format != JSON && c > 0x7f {
			t.Errorf("%s: byte %#x in %q", format, c, line)
		}
	}
	switch format {
	case JSON:
		var object map[string]any
		if err := json.Unmarshal(line, &object); err != nil {
			t.Errorf("%v: %q", err, line)
		}
	case Combined:
		if bare := strings.ReplaceAll(strings.ReplaceAll(string(line), `\\`, ""), `\"`, ""); strings.Count(bare, `"`) != 6 {
			t.Errorf("fields are forged: %q", line)
		}
	default:
		if strings.Count(string(line), " ") != 2 {
			t.Errorf("fields are forged: %q", line)
		}
	}
}

// BenchmarkFile is a line made and written to a file.
func BenchmarkFile(b *testing.B) {
	for _, format := range []string{Combined, JSON} {
		b.Run(format, func(b *testing.B) {
			f, err := os.OpenFile(filepath.Join(b.TempDir(), "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			l, err := New(Config{Format: format, To: f, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			e := entry(l)
			var line []byte
			b.ReportAllocs()
			for b.Loop() {
				line = l.Append(line[:0], e)
				l.Write(line)
			}
		})
	}
}
