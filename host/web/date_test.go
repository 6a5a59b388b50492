package web

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

func TestTheDateIsRenderedOnceASecond(t *testing.T) {
	var d dates
	at := time.Date(2026, 11, 1, 2, 3, 4, 5, time.FixedZone("east", 3600))
	line := d.line(at)
	if got := string(line); got != "Date: Sun, 01 Nov 2026 01:03:04 GMT\r\n" {
		t.Errorf("got %q", got)
	}
	if again := d.line(at.Add(time.Second / 2)); &again[0] != &line[0] {
		t.Error("it was rendered twice in a second")
	}
	if got := string(d.line(at.Add(time.Second))); got != "Date: Sun, 01 Nov 2026 01:03:05 GMT\r\n" {
		t.Errorf("a second later: %q", got)
	}
}

// Each kind of response has one Date, behind its first line, and none of them makes
// the library start its clock, which would wake the process each second for ever.
func TestEachResponseHasADateAndStartsNoClock(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		if x.URI()[len(x.URI())-1] == 'u' {
			return x.(exchange.Upgrader).Upgrade([]byte("echo"), func(exchange.Stream) {})
		}
		for range strings.Count(string(x.URI()), "w") {
			if _, err := x.Write([]byte("some")); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, request := range []string{
		get("/"), get("/w"), get("/ww"), "HEAD /ww HTTP/1.1\r\nHost: a\r\n\r\n", "GET /ww HTTP/1.0\r\n\r\n", "nonsense\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nExpect: nothing\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
		strings.Replace(upgradeRequest, "/", "/u", 1),
	} {
		c := f.dial().send(request)
		first := c.line()
		if !strings.HasPrefix(first, "HTTP/1.1 ") {
			t.Errorf("%q is answered %q", request, first)
		}
		if strings.Contains(first, "101") != strings.Contains(request, "Upgrade") {
			t.Errorf("%q is answered %q", request, first)
		}
		date, ok := strings.CutPrefix(c.line(), "Date: ")
		if _, err := http.ParseTime(date); !ok || err != nil {
			t.Errorf("%q: the date of %q is %q, %v", request, first, date, err)
		}
		for line := c.line(); line != ""; line = c.line() {
			if strings.HasPrefix(line, "Date:") {
				t.Errorf("%q: another date: %q", request, line)
			}
		}
	}
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "updateServerDate") {
		t.Error("the library's clock runs")
	}
}
