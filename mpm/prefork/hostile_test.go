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
	enough := time.After(sized(2*time.Second, 10*time.Second))
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
	// The reload is answered when no old child will accept again, by what its
	// page says: these lie, and so may take a moment longer.
	deadline := time.Now().Add(20 * time.Second)
	for good := 0; good < 20; good++ {
		conn, greeting, _, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if greeting != "good" {
			good = -1
		}
		if time.Now().After(deadline) {
			t.Fatal("20 s after the reload a hostile child serves still")
		}
	}
}
