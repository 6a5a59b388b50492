package web

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

// beside serves with a goroutine that reads the request while serve answers.
func beside(read func(x exchange.Exchange, d exchange.Duplex), serve func(x exchange.Exchange, d exchange.Duplex) error) exchange.Handler {
	return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		d, err := x.(exchange.Duplexer).Duplex()
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			read(x, d)
		}()
		err = serve(x, d)
		d.Interrupt()
		<-ended
		return err
	})
}

// Each piece comes back before the next one is sent, also to a client that waits
// to be asked for the first one.
func TestABodyIsReadWhileItIsAnswered(t *testing.T) {
	echo := func() exchange.Handler {
		pieces := make(chan string)
		return beside(func(x exchange.Exchange, _ exchange.Duplex) {
			defer func() { pieces <- "" }()
			for {
				buf := make([]byte, 100)
				n, err := x.Body().Read(buf)
				if n > 0 {
					pieces <- string(buf[:n])
				}
				if err != nil {
					return
				}
			}
		}, func(x exchange.Exchange, _ exchange.Duplex) error {
			_, err := x.Write(nil)
			for p := <-pieces; p != ""; p = <-pieces {
				_, err = x.Write([]byte(p))
			}
			return err
		})
	}
	f := mount(t, echo())
	c := f.dial().send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
	if got := c.line() + c.line(); got != "HTTP/1.1 100 Continue" {
		t.Fatalf("asked for the body by %q", got)
	}
	c.send("3\r\none\r\n")
	for line := c.line(); line != ""; line = c.line() {
	}
	for _, next := range []string{"two", "six"} {
		if size, data := c.line(), c.line(); size != "3" || len(data) != 3 {
			t.Fatalf("got chunk %q %q", size, data)
		}
		c.send("3\r\n" + next + "\r\n")
	}
	c.send("0\r\n\r\n" + get("/nothing-to-read"))
	if got := c.line() + c.line() + c.line() + c.line(); got != "3six0" {
		t.Errorf("the end is %q", got)
	}
	if res, body := c.response("GET"); res.StatusCode != 200 || body != "" {
		t.Errorf("next request: %d %q", res.StatusCode, body)
	}
}

func TestAClientThatGoesIsNoticed(t *testing.T) {
	gone := make(chan bool, 1)
	f := mount(t, beside(func(_ exchange.Exchange, d exchange.Duplex) { gone <- d.Gone() },
		func(exchange.Exchange, exchange.Duplex) error { gone <- <-gone; return nil }))
	c := f.dial().send(get("/"))
	_ = c.Close()
	<-f.done
	if !<-gone {
		t.Error("the client was taken to be there")
	}
}

// What a client sends in advance is not lost, and is no reason to think it gone.
func TestTheNextRequestMayComeEarly(t *testing.T) {
	f := mount(t, beside(func(x exchange.Exchange, d exchange.Duplex) {
		if d.Gone() {
			t.Error("the client was taken for gone")
		}
	}, func(x exchange.Exchange, _ exchange.Duplex) error {
		_, _ = x.Write(nil)
		_, err := x.Write([]byte("answer"))
		return err
	}))
	c := f.dial().send(get("/one"))
	for range 3 {
		if res, body := c.response("GET"); res.StatusCode != 200 || body != "answer" {
			t.Errorf("answered %d %q", res.StatusCode, body)
		}
		c.send(get("/two")[:10])
		c.send(get("/two")[10:])
	}
}

// A handler that needs no more of a body answers without it, and no next request
// is read from its middle.
func TestAnInterruptedBodyEndsTheConnection(t *testing.T) {
	f := mount(t, beside(func(x exchange.Exchange, _ exchange.Duplex) {
		if _, err := io.ReadAll(x.Body()); !errors.Is(err, errInterrupted) {
			t.Errorf("the body ended with %v", err)
		}
	}, func(x exchange.Exchange, _ exchange.Duplex) error {
		_, err := x.Write([]byte("enough"))
		return err
	}))
	c := f.dial().send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nstart")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "enough") {
		t.Errorf("got %q", got)
	}
}
