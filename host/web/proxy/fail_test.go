package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What fails before the response has a plain status and one line in the log.
func TestAnUpstreamThatFails(t *testing.T) {
	nobody := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return "http://" + l.Addr().String()
	}()
	say := func(text string) string {
		return raw(t, func(c net.Conn, r *bufio.Reader) {
			header(r)
			_, _ = io.WriteString(c, text)
		})
	}
	slow := raw(t, func(c net.Conn, r *bufio.Reader) {
		header(r)
		_, _ = r.ReadByte() // until we are let go
	})
	for name, test := range map[string]struct {
		url    string
		status int
		reason string
	}{
		"nobody":           {nobody, 502, "connection refused"},
		"no socket":        {"unix:" + t.TempDir() + "/none", 502, "no such file"},
		"no words":         {say(""), 502, "unexpected EOF"},
		"other words":      {say("220 mail ready\r\n\r\n"), 502, "malformed"},
		"half a header":    {say("HTTP/1.1 200 OK\r\nX: "), 502, "unexpected EOF"},
		"large header":     {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n"), 502, "larger than 64 KiB"},
		"endless hints":    {say(strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: x\r\n\r\n", 4000)), 502, "larger than 64 KiB"},
		"two lengths":      {say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502, "Content-Length"},
		"other coding":     {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx"), 502, "transfer encoding"},
		"a bad name":       {say("HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n"), 502, "Bad Name"},
		"a bad value":      {say("HTTP/1.1 200 OK\r\nX-Bad: \x01\r\nContent-Length: 0\r\n\r\n"), 502, "X-Bad"},
		"an upgrade":       {say("HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"), 502, "was not asked to"},
		"a status of none": {say("HTTP/1.1 000 What\r\n\r\n"), 502, ""},
		"silence":          {slow, 504, "nothing came for 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, test.url, func(c *Config) { c.Timeout = 300 * time.Millisecond })
			res, body := g.dial().send(getR).whole("GET")
			if res.StatusCode != test.status || !strings.HasPrefix(body, res.Status[:3]+" ") || res.Header.Get("X") != "" {
				t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
			}
			lines := strings.Split(strings.TrimSpace(g.log.Take()), "\n")
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "route=/r/") || !strings.Contains(lines[0], test.reason) {
				t.Errorf("logged %q, want one line with %q", lines, test.reason)
			}
		})
	}
}

// An upstream that goes away while the client sends is not the client's fault.
func TestAnUpstreamThatFailsWithinTheRequest(t *testing.T) {
	g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
		header(r)
		_, _ = r.ReadByte()
	}), nil)
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
	if res, _ := c.whole("POST"); res.StatusCode != 502 {
		t.Errorf("answered %d", res.StatusCode)
	}
	if log := g.log.Take(); strings.Count(log, "level=WARN") != 1 {
		t.Errorf("logged %s", log)
	}
}

// A proxy that leads to itself ends.
func TestALoopIsFound(t *testing.T) {
	var url string
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequest("GET", url, nil)
		req.Header = r.Header
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
		w.WriteHeader(res.StatusCode)
	}), nil)
	url = "http://" + g.addr + "/r/"
	if res, _ := g.dial().send(getR).whole("GET"); res.StatusCode != 508 {
		t.Errorf("answered %d", res.StatusCode)
	}
}

// What fails later cuts the response off, so that it does not look whole.
func TestABrokenBodyIsCutOff(t *testing.T) {
	for name, test := range map[string]struct{ response, got string }{
		"a length":    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "half"},
		"chunks":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "half"},
		"a bad chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", "half"},
		"silence":     {"", "half"},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
				header(r)
				if test.response == "" {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
					_, _ = r.ReadByte()
				}
				_, _ = io.WriteString(c, test.response)
			}), func(c *Config) { c.Timeout = 300 * time.Millisecond })
			res := g.dial().send(getR).response("GET")
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != 200 || string(body) != test.got || err == nil {
				t.Errorf("got %d %q, %v", res.StatusCode, body, err)
			}
			var log string
			for end := time.Now().Add(patience); !strings.Contains(log, "upstream broke off") && time.Now().Before(end); {
				log += g.log.Take()
			}
			if strings.Count(log, "level=WARN") != 1 {
				t.Errorf("logged %q", log)
			}
		})
	}
}

// What is wrong with a request is the client's to hear, not the log's.
func TestABrokenRequestIsTheClients(t *testing.T) {
	ended := make(chan error, 1)
	g := open(t, upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}), nil)
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\nzz\r\n")
	if res, _ := c.whole("POST"); res.StatusCode != 400 {
		t.Errorf("answered %d", res.StatusCode)
	}
	if err := <-ended; err == nil {
		t.Error("the upstream takes the request for whole")
	}
	if log := g.log.Take(); strings.Contains(log, "WARN") {
		t.Errorf("logged %s", log)
	}
}

// A slow client is not a slow upstream.
func TestASlowBodyIsWaitedFor(t *testing.T) {
	g := open(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}), func(c *Config) { c.Timeout = 50 * time.Millisecond })
	c := g.dial().send("POST /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
	for _, piece := range []string{"b", "o", "d", "y"} {
		<-time.After(150 * time.Millisecond)
		c.send(piece)
	}
	if res, body := c.whole("POST"); res.StatusCode != 200 || body != "body" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}
