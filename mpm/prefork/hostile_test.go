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
	// One whose slot denies that it is idle is not waited for, and may take one
	// connection more.
	for good, late := 0, 0; good < 20; {
		if err := s.ping("good"); err == nil {
			good++
		} else if late++; late > 6 {
			t.Fatal(err)
		}
	}
}
