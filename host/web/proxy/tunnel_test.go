package proxy

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const upgradeR = "GET /r/chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

// chat is an upstream that upgrades, says hello and echoes to the end.
func chat(t *testing.T, ended chan<- string) string {
	return raw(t, func(c net.Conn, r *bufio.Reader) {
		if h := header(r); !strings.Contains(h, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") {
			_, _ = io.WriteString(c, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\nhello ")
		_, err := io.Copy(c, r)
		_, _ = io.WriteString(c, "bye")
		if err == nil {
			ended <- "closed"
		} else {
			ended <- "broken"
		}
	})
}

func TestAWebSocketIsPassedThrough(t *testing.T) {
	ended := make(chan string, 1)
	g := open(t, chat(t, ended), nil)
	c := g.dial().send(upgradeR + "early ")
	res := c.response("GET")
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "WebSocket" || res.Header.Get("Connection") != "Upgrade" || res.Header.Get("Sec-WebSocket-Accept") != "a" {
		t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	c.exactly("hello early ")
	for _, word := range []string{"one", "two", strings.Repeat("long", 100_000)} {
		go func() { _, _ = io.WriteString(c, word) }()
		c.exactly(word)
	}
	_ = c.CloseWrite() // one side closes, and then the other
	if got := c.rest(); got != "bye" {
		t.Errorf("at the end came %q", got)
	}
	if got := <-ended; got != "closed" {
		t.Errorf("the upstream's connection is %s", got)
	}
	if log := g.log.Take(); log != "" {
		t.Errorf("logged %s", log)
	}
}

// Each side's end is that of the other one.
func TestABrokenWebSocketIsEnded(t *testing.T) {
	ended := make(chan string, 1)
	g := open(t, chat(t, ended), nil)
	c := g.dial().send(upgradeR)
	c.response("GET")
	_ = c.SetLinger(0)
	_ = c.Close()
	<-ended
}

func TestASilentWebSocketIsEnded(t *testing.T) {
	ended := make(chan string, 1)
	g := open(t, chat(t, ended), func(c *Config) { c.Timeout = 300 * time.Millisecond })
	c := g.dial().send(upgradeR)
	c.response("GET")
	c.exactly("hello ")
	for range 3 { // longer than the timeout in all
		<-time.After(150 * time.Millisecond)
		c.send("x").exactly("x")
	}
	c.rest()
	<-ended
}

func TestAnUpgradeThatIsNotTaken(t *testing.T) {
	for name, test := range map[string]struct {
		upgrade, answer string
		status          int
	}{
		"refused":          {"websocket", "HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n", 426},
		"another protocol": {"websocket", "HTTP/1.1 101 Yes\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n", 502},
		"h2c":              {"h2c", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, raw(t, func(c net.Conn, r *bufio.Reader) {
				if h := header(r); strings.Contains(h, "h2c") {
					t.Errorf("the upstream got %s", h)
				}
				_, _ = io.WriteString(c, test.answer)
			}), nil)
			c := g.dial().send(strings.Replace(upgradeR, "websocket", test.upgrade, 1))
			if res, _ := c.whole("GET"); res.StatusCode != test.status {
				t.Errorf("got %d", res.StatusCode)
			}
			if res, _ := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").whole("GET"); res.StatusCode != 200 {
				t.Errorf("next request: %d", res.StatusCode)
			}
		})
	}
}
