package web

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
)

const upgradeRequest = "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// upgrader upgrades, then returns err, and echoes on the connection.
func upgrader(failed error, ended chan<- error) exchange.Handler {
	return handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		_ = x.Header(exchange.Response).Set([]byte("X-Key"), []byte("value"))
		err := x.(exchange.Upgrader).Upgrade([]byte("echo"), func(s exchange.Stream) {
			_, err := io.Copy(s, s)
			if err == nil {
				err = s.CloseWrite()
			}
			ended <- err
		})
		if err != nil {
			return err
		}
		if _, err := x.Write([]byte("body")); err == nil && x.Status() == 101 {
			ended <- errors.New("a body could be written after the upgrade")
		}
		return failed
	})
}

func TestAnUpgradedConnectionIsTheHandlers(t *testing.T) {
	ended := make(chan error, 2)
	f := mount(t, upgrader(nil, ended))
	c := f.dial().send(upgradeRequest + "with the header, ") // which the library reads
	if got := c.line(); got != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("answered %q", got)
	}
	var header []string
	for line := c.line(); line != ""; line = c.line() {
		header = append(header, line)
	}
	for _, want := range []string{"X-Key: value", "Connection: Upgrade", "Upgrade: echo"} {
		if !strings.Contains(strings.Join(header, "\n"), want) {
			t.Errorf("header %q lacks %s", header, want)
		}
	}
	if strings.Contains(strings.Join(header, "\n"), "Content-Length") {
		t.Errorf("header %q has a length", header)
	}
	c.send("and after")
	_ = c.CloseWrite()
	if got := c.rest(); got != "with the header, and after" {
		t.Errorf("echoed %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-f.done
}

// What a client says of its last request is not about the tunnel behind it.
func TestTheClientOfAnUpgradeIsNotDone(t *testing.T) {
	ended := make(chan error, 2)
	f := mount(t, upgrader(nil, ended))
	c := f.dial().send(strings.Replace(upgradeRequest, "Upgrade\r\n", "close, Upgrade\r\n", 1))
	_ = c.CloseWrite()
	if got := c.line(); got != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("answered %q", got)
	}
	c.rest()
	if m := <-f.done; m.peerDone.Load() {
		t.Error("the model does not wait for it")
	}
}

// Whoever upgraded hears of it if nothing comes of that.
func TestAFailedUpgradeIsEnded(t *testing.T) {
	ended := make(chan error, 2)
	f := mount(t, upgrader(errors.New("failed"), ended))
	c := f.dial().send(upgradeRequest)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("got %q", got)
	}
	if err := <-ended; !errors.Is(err, errCut) {
		t.Errorf("the handler's stream ended with %v", err)
	}
}

func TestWhatCannotBeUpgraded(t *testing.T) {
	for name, request := range map[string]string{
		"HTTP/1.0": "GET / HTTP/1.0\r\nHost: test\r\n\r\n",
		"a body":   "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
				err := x.(exchange.Upgrader).Upgrade([]byte("echo"), func(exchange.Stream) { t.Error("was upgraded") })
				if !errors.Is(err, exchange.ErrUnsupported) {
					t.Errorf("error %v", err)
				}
				return nil
			}))
			if res, _ := f.dial().send(request).response("GET"); res.StatusCode != 200 {
				t.Errorf("answered %d", res.StatusCode)
			}
		})
	}
}
