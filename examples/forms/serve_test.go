//go:build !wasip1

package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/web"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

// browser is a client with cookies, at the plugin's address.
type browser struct {
	t    *testing.T
	base string
	http http.Client
}

func newBrowser(t *testing.T, s *apphosttest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, base: "http://" + s.Addr("web") + "/forms/"}
	b.http = http.Client{Jar: jar, Timeout: apphosttest.Patience, Transport: &http.Transport{}}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// want fails unless an answer has a status and a text in its body.
func (b *browser) want(response *http.Response, err error, status int, text string) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status || !strings.Contains(string(body), text) {
		b.t.Errorf("got %d, %v\n%s\nwant %d\n%s", response.StatusCode, err, body, status, text)
	}
}

func (b *browser) get(page string, status int, text string) {
	b.t.Helper()
	response, err := b.http.Get(b.base + page)
	b.want(response, err, status, text)
}

func (b *browser) post(page, kind, body string, status int, text string) {
	b.t.Helper()
	response, err := b.http.Post(b.base+page, kind, strings.NewReader(body))
	b.want(response, err, status, text)
}

func TestServed(t *testing.T) {
	s := buildtest.Serve(t, map[string]string{
		"forms": buildtest.Go(t, "forms", abi.HTTPModule, 4300<<10),
	})
	t.Run("README", func(t *testing.T) { buildtest.Try(t, s) })
	tests := []struct {
		name string
		run  func(t *testing.T, s *apphosttest.Server)
	}{
		{"query and cookies", servedCookies},
		{"posted form", servedForm},
		{"JSON", servedJSON},
		{"stream", servedStream},
		{"client that leaves a stream", servedLeaving},
		{"log", servedLog},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// Each visitor has a count and a name of their own: they are in the cookies,
// not in the plugin.
func servedCookies(t *testing.T, s *apphosttest.Server) {
	ada, zoe := newBrowser(t, s), newBrowser(t, s)
	ada.get("", 200, "You have seen it once.")
	ada.get("", 200, "You have seen it 2 times")
	zoe.get("", 200, "You have seen it once.")
	ada.get("", 200, "You have seen it 3 times")

	zoe.get("greet?name="+url.QueryEscape(`<script>"Zoë"&;`), 200, "Hello, &lt;script&gt;&#34;Zoë&#34;&amp;;!")
	zoe.get("", 200, `value="&lt;script&gt;&#34;Zoë&#34;&amp;;"`)
	ada.get("", 200, `value=""`)
	ada.get("greet?name="+strings.Repeat("x", 101), 400, "a name of up to 100 bytes, please")
	ada.get("nope", 404, "no such page")

	response, err := ada.http.Head(ada.base + "greet")
	ada.want(response, err, 200, "")
	if kind := response.Header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", kind)
	}
}

func servedForm(t *testing.T, s *apphosttest.Server) {
	b := newBrowser(t, s)
	b.post("post", formType, "title=%3Cb%3E&option=b&option=a+c&%3Ci%3E=", 200,
		"<tr><th>&lt;i&gt;<td>\n<tr><th>option<td>b\n<tr><th>option<td>a c\n<tr><th>title<td>&lt;b&gt;\n")
	b.post("post", formType, "", 200, "<table>\n</table>")
	b.post("post", "text/plain", "a=1", 400, "the body is not application/x-www-form-urlencoded")
	b.post("post", formType, "a=%zz", 400, "invalid URL escape")

	long := strings.Repeat("x", web.FormBytesMax-len("a="))
	b.post("post", formType, "a="+long, 200, "<tr><th>a<td>"+long+"\n")
	b.post("post", formType, "a="+long+"x", 413, "the form is longer than 1048576 bytes")
	b.post("post", formType, strings.Repeat("x", 3*web.FormBytesMax), 413, "the form is longer than 1048576 bytes")
	b.get("greet", 200, "Hello, stranger!") // the next request is served
}

func servedJSON(t *testing.T, s *apphosttest.Server) {
	b := newBrowser(t, s)
	b.post("sum", "application/json", `{"numbers": [1, 2.5]}`, 200, `{"count":2,"sum":3.5}`+"\n")
	b.post("sum", "application/json", `{"numbers": ["1"]}`, 400, `{"error":"json: cannot unmarshal string`)
	b.post("sum", "application/json", ``, 400, `{"error":"EOF"}`)
	b.post("sum", "application/json", `{"numbers":[1e308,1e308]}`, 422, "too large")
	b.post("sum", "application/json", `{"numbers":[`+strings.Repeat("1,", numbersBytesMax), 413, "more than 65536 bytes")

	// A body whose length is not known before arrives just the same.
	body, writer := io.Pipe()
	go func() {
		io.WriteString(writer, `{"numbers":[1,2,`)
		io.WriteString(writer, `3]}`)
		writer.Close()
	}()
	response, err := b.http.Post(b.base+"sum", "application/json", body)
	b.want(response, err, 200, `{"count":3,"sum":6}`+"\n")
}

// openStream asks for a stream and reads its first line.
func openStream(t *testing.T, b *browser, lines, first string) (*http.Response, *bufio.Reader) {
	t.Helper()
	response, err := b.http.Get(b.base + "stream?lines=" + lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	in := bufio.NewReader(response.Body)
	if line, err := in.ReadString('\n'); err != nil || line != first {
		t.Fatalf("got %q, %v, want %q", line, err, first)
	}
	return response, in
}

func servedStream(t *testing.T, s *apphosttest.Server) {
	_, in := openStream(t, newBrowser(t, s), "3", "line 1 of 3\n")
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "line 2 of 3\nline 3 of 3\n" {
		t.Errorf("got %q, %v", rest, err)
	}
}

// The first line can be read seconds before the last is made. Nobody is hurt
// when the client leaves then.
func servedLeaving(t *testing.T, s *apphosttest.Server) {
	b := newBrowser(t, s)
	response, in := openStream(t, b, "50", "line 1 of 50\n")
	if in.Buffered() >= len("line 1 of 50\n")*(linesMax-1) {
		t.Error("the answer came all at once")
	}
	response.Body.Close()
	b.get("greet", 200, "Hello, stranger!")
}

// What the plugin writes with slog is in the server's log, at its level and
// with the plugin's name.
func servedLog(t *testing.T, s *apphosttest.Server) {
	b := newBrowser(t, s)
	b.get("post", 405, "this page wants POST")
	entry, found := s.WaitLog("guest log", func(e map[string]any) bool { return e["plugin"] == "forms" })
	if want := "wrong method method=GET path=/forms/post"; !found || entry["level"] != "WARN" || entry["text"] != want {
		t.Errorf("got %v, want %q at WARN", entry, want)
	}
}
