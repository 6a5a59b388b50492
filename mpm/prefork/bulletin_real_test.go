package prefork

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
)

// teller greets like greeter, and answers each line with a snapshot or the
// reason why there is none.
type teller struct{ c *Child }

func (h teller) ServeConn(ctx context.Context, c mpm.Conn) {
	fmt.Fprintf(c, "status %d\n", h.c.Slot)
	for lines := bufio.NewScanner(c); lines.Scan(); {
		text, err := h.c.Snapshot(ctx)
		if err != nil {
			text = []byte(err.Error())
		}
		_, _ = c.Write(append(text, '\n'))
	}
}

// publishes are the calls of Config.Publish.
type publishes struct{ atomic.Int64 }

func (p *publishes) encode(s Snapshot) []byte {
	p.Add(1)
	text, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

// askTeller asks a teller for a snapshot.
func askTeller(t *testing.T, conn net.Conn) Snapshot {
	t.Helper()
	fmt.Fprintln(conn)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return s
}

// A child shows the server as it is now, also when its own generation is over.
func TestAChildCanShowHowTheServerIs(t *testing.T) {
	calls := new(publishes)
	s := startServer(t, func(c *testConfig) { c.Greeting, c.Options.Status = "status", true }, calls.encode)
	conn, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n := calls.Load(); n != 0 {
		t.Errorf("%d snapshots before anyone asked", n)
	}
	if st := askTeller(t, conn); st.State != "serving" || st.Busy != 1 || len(st.Slots) < 3 || st.LastReload != nil {
		t.Errorf("told: %+v", st)
	}
	s.cfg.Greeting, s.cfg.Options.Status = "plain", false
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	st := askTeller(t, conn)
	if st.LastReload == nil || st.LastReload.Generation != 2 || len(st.Generations) != 2 {
		t.Errorf("told by a retired child: %+v", st)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d snapshots for two questions", n)
	}
}

// Children that write to the pipe all the time keep neither the master busy
// nor others from an answer.
func TestAFloodOfWishesIsGrantedAtAPace(t *testing.T) {
	calls := new(publishes)
	s := startServer(t, func(c *testConfig) { c.Greeting, c.Options.Status = "status", true }, calls.encode)
	conn, _, _, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.cfg.Greeting = "hostile"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	before, start := calls.Load(), time.Now()
	for range 10 {
		if st := askTeller(t, conn); len(st.Generations) != 2 {
			t.Errorf("told: %+v", st)
		}
	}
	if n, took := calls.Load()-before, time.Since(start); time.Duration(n) > took/publishEvery+2 {
		t.Errorf("%d snapshots within %s", n, took)
	}
	s.cfg.Greeting = "good"
	s.write()
	if r := s.ask(Restart); len(r.Errors) > 0 {
		t.Fatalf("restart: %+v", r)
	}
}
