package prefork

import (
	"testing"
	"time"
)

// Children that write random bytes over all that they share with the master
// can spoil what is said of themselves. The server goes on, and a reload puts
// an end to it.
func TestAHostileChildHarmsNobodyElse(t *testing.T) {
	s := startServer(t, func(c *testConfig) {
		c.Greeting = "hostile"
		c.Options.MaxRequestWorkers, c.Options.KillTimeout = 6, time.Second
	})
	enough := time.After(2 * time.Second)
	for served := 0; ; served++ {
		if err := s.ping("hostile"); err != nil {
			t.Fatalf("connection %d: %v", served, err)
		}
		select {
		case <-enough:
		default:
			continue
		}
		break
	}
	s.cfg.Greeting = "good"
	s.write()
	if r := s.ask(Reload); len(r.Errors) > 0 {
		t.Fatalf("reload: %+v", r)
	}
	// When an old child that lies will not accept again, only its end tells.
	s.until("one generation is left", func(now Snapshot) bool { return len(now.Generations) == 1 })
	for range 20 {
		if err := s.ping("good"); err != nil {
			t.Fatal(err)
		}
	}
}
