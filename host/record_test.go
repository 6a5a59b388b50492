package host_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// watched notes what the scoreboard is told.
type watched struct {
	*hosttest.Conn
	seen []string
}

func (w *watched) SetState(s mpm.State) { w.seen = append(w.seen, s.String()) }

func (w *watched) BeginRequest(method, target, protocol []byte) {
	w.seen = append(w.seen, fmt.Sprintf("begin %s %s %s", method, target, protocol))
}

func (w *watched) EndRequest(bytesSent int64) {
	w.seen = append(w.seen, fmt.Sprintf("end %d", bytesSent))
}

// The scoreboard tells a connection that waits for its client from one that is
// served, and counts it as one request with all that was sent.
func TestTheScoreboardShowsWhatAConnectionDoes(t *testing.T) {
	logger, _ := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "echo", "../plugins/echo.wasm")},
		Listeners: []host.Listener{{Name: "raw", Protocol: host.TCP, Plugin: "echo"}},
		CacheDir:  t.TempDir(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	server, client := hosttest.Pair(t, "raw")
	w := &watched{Conn: server}
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.ServeConn(t.Context(), w)
	}()
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(client, line); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, len(line))); err != nil {
			t.Fatal(err)
		}
	}
	_ = client.CloseWrite()
	<-served
	want := []string{"begin plugin echo tcp", "writing", "reading", "writing", "reading", "writing", "reading", "writing", "end 8"}
	if !slices.Equal(w.seen, want) {
		t.Errorf("the scoreboard was told\n%q, want\n%q", w.seen, want)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
