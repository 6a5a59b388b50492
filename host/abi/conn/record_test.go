package conn

import (
	"fmt"
	"io"
	"slices"
	"testing"

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
	p := newPlugin(t, "../../../../plugins/echo", Settings{})
	server, client := hosttest.Pair(t, "echo")
	w := &watched{Conn: server}
	served := make(chan struct{})
	go func() {
		defer close(served)
		p.ServeConn(t.Context(), w, Timeouts{}, name("g1-s0-1"))
	}()
	for _, line := range []string{"one", "three"} {
		if _, err := io.WriteString(client, line); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, len(line))); err != nil {
			t.Fatal(err)
		}
	}
	_ = client.CloseWrite()
	<-served
	want := []string{
		"writing", "begin plugin ../../../../plugins/echo tcp", "reading", "writing", "reading", "writing", "reading", "writing", "end 8",
	}
	if !slices.Equal(w.seen, want) {
		t.Errorf("the scoreboard was told\n%q, want\n%q", w.seen, want)
	}
}
