package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/apphost/apphost/host/exchange"
)

// A handler's own time ends a read of the body and a write to a client that does
// not read, and nothing else of the connection.
func TestABoundEndsReadsAndWrites(t *testing.T) {
	f := mount(t, handlerFunc(func(_ context.Context, x exchange.Exchange) error {
		bounded, begun := x.(exchange.Bounded), time.Now()
		before := bounded.Bound(begun.Add(20 * time.Millisecond))
		defer bounded.Bound(before)
		if !before.IsZero() {
			t.Errorf("it was bound before, by %s", before)
		}
		var err error
		if string(x.Method()) == "GET" {
			for err == nil {
				_, err = x.Write(make([]byte, 1<<20))
			}
		} else {
			_, err = io.ReadAll(x.Body())
		}
		if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took > DefaultBodyGrace/2 {
			t.Errorf("%s: after %s, %v", x.Method(), took, err)
		}
		return fmt.Errorf("%w: %w", exchange.ErrTimeout, err)
	}))
	if r, body := f.dial().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc").response("POST"); r.StatusCode != 504 || body != "504 Gateway Timeout\n" || !r.Close {
		t.Errorf("got %d %q", r.StatusCode, body)
	}
	<-f.done
	f.dial().send(get("/")) // and does not read
	<-f.done
}
