package prefork

import (
	"bufio"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Many are parked, without goroutines, and come back at once; again and again. At
// the end nothing is left.
func TestManyConnectionsAreParkedAndComeBack(t *testing.T) {
	const many = 2*parkBatch + 10
	before := openFiles(t)
	goroutines := runtime.NumGoroutine()
	t.Run("crew", func(t *testing.T) {
		p := newParkedCrew(t, many, &answers{idle: 24 * time.Hour})
		clients := p.dial(many, true)
		for call := 1; call <= 3; call++ {
			for _, client := range clients {
				if err := exchanged(client, call, "ping"); err != nil {
					t.Fatal(err)
				}
			}
			p.park(many)
			p.serving.Wait()
			p.parking.shedding.Wait()
			if n := runtime.NumGoroutine(); n > goroutines+5 {
				t.Errorf("%d goroutines with %d parked connections, %d before", n, many, goroutines)
			}
			for _, client := range clients {
				if _, err := io.WriteString(client, "again"); err != nil {
					t.Fatal(err)
				}
			}
			p.until("all are back", func() bool { return p.revive() == nil && p.parked() == 0 })
			for _, client := range clients {
				if err := wantAnswer(client, call+1, "again"); err != nil {
					t.Fatal(err)
				}
			}
		}
		p.park(many)
		for _, client := range clients {
			_ = client.Close()
		}
	})
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// Clients send at any moment, also when their connection is just about to be parked:
// each message is answered once.
func TestNothingIsLostWhenConnectionsAreParkedAllTheTime(t *testing.T) {
	const clients, messages = 16, 200
	p := newParkedCrew(t, clients, new(answers))
	stop := p.run()
	var group sync.WaitGroup
	for _, client := range p.dial(clients, false) {
		group.Go(func() {
			r := bufio.NewReader(client)
			for range messages {
				<-time.After(rand.N(4 * p.parking.after)) // it is parked after one to two of these
				if _, err := io.WriteString(client, "ping."); err != nil {
					t.Error(err)
					return
				}
				if got, err := r.ReadString('.'); err != nil || strings.TrimLeft(got, "0123456789") != "PING." {
					t.Errorf("answer %q, %v", got, err)
					return
				}
			}
			_ = client.Close()
		})
	}
	group.Wait()
	p.until("all threads are free", func() bool { return p.freeThreads() == clients })
	stop()
	if n := p.handler.calls.Load(); n < 2*clients {
		t.Errorf("%d calls of ServeConn for %d connections: they were hardly parked", n, clients)
	}
}

// Memory is given back when it pays: not for a few connections, not at once, and not
// all the time.
func TestMemoryIsGivenBackWhenItPays(t *testing.T) {
	p := parking{after: time.Second}
	defer p.shedding.Wait()
	begun := time.Now()
	for _, step := range []struct {
		at     time.Duration
		parked int
		given  bool
	}{
		{0, shedMin - 1, false},
		{1, shedMin, false},
		{1, shedMin + 50, false},
		{2, 2 * shedMin, true},
		{3, 2 * shedMin, false},
		{4, 3 * shedMin, false},
		{5, 3 * shedMin, false}, // it pauses
		{7, 3 * shedMin, true},
		{20, 3*shedMin + 1, false},
		{30, 10, false}, // they come back
		{31, shedMin + 10, false},
		{32, shedMin + 10, true},
	} {
		now := begun.Add(step.at * time.Second)
		p.shedMemory(step.parked, now)
		if given := p.shed.Equal(now); given != step.given {
			t.Errorf("after %d s, %d are parked: given back %v, want %v", step.at, step.parked, given, step.given)
		}
	}
}
