package prefork

import (
	"syscall"
	"testing"
	"time"
)

// A flood of one kind of signal, while nobody takes events, must not cost a
// signal of another kind.
func TestNoSignalPushesOutAnother(t *testing.T) {
	s := notify(nil, false, nil)
	defer s.stop()
	self := syscall.Getpid()
	for range 100 {
		for _, sig := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGUSR1} {
			if err := syscall.Kill(self, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(self, sig); err != nil {
			t.Fatal(err)
		}
	}
	want := map[Request]bool{Stop: true, Restart: true, Reload: true}
	timeout := time.After(10 * time.Second)
	for len(want) > 0 {
		select {
		case ev := <-s.events:
			if r, ok := ev.(requested); ok {
				delete(want, r.what)
			}
		case <-timeout:
			t.Fatalf("signals were lost: %v", want)
		}
	}
}
