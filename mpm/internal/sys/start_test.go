package sys

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets a test start this program again, as something that only waits.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "wait" {
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	os.Exit(m.Run())
}

// A process starts with the policy that is asked for, unless its starter has one that
// an operator chose; and its starter keeps its own.
func TestBatchGoesToTheProcessAlone(t *testing.T) {
	for _, tc := range []struct {
		name           string
		own            uint32
		batch          bool
		ofOne, ofOther uint32
	}{
		{"asked for", unix.SCHED_NORMAL, true, unix.SCHED_BATCH, unix.SCHED_NORMAL},
		{"not asked for", unix.SCHED_NORMAL, false, unix.SCHED_NORMAL, unix.SCHED_NORMAL},
		{"an operator's", unix.SCHED_IDLE, true, unix.SCHED_IDLE, unix.SCHED_IDLE},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				runtime.LockOSThread() // for ever: the thread ends with what was done to it
				if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: tc.own}, 0); err != nil {
					t.Errorf("set policy: %v", err)
					return
				}
				if one := policyOfStarted(t, tc.batch); one != tc.ofOne {
					t.Errorf("the process has policy %d, want %d", one, tc.ofOne)
				}
				if own, err := unix.SchedGetAttr(0, 0); err != nil || own.Policy != tc.ofOther {
					t.Errorf("its starter has %+v, %v; want policy %d", own, err, tc.ofOther)
				}
			}()
			<-done
		})
	}
}

// policyOfStarted starts a process and is the policy that it has.
func policyOfStarted(t *testing.T, batch bool) uint32 {
	r, w, err := Pipe()
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer null.Close()
	p, err := Start(Command{Args: []string{"waiter", "wait"}, Env: []string{}, Files: []FD{r, FD(null.Fd()), FD(null.Fd())}, Batch: batch})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer p.Close()
	attr, err := unix.SchedGetAttr(p.PID, 0)
	if err != nil {
		t.Error(err)
		attr = new(unix.SchedAttr)
	}
	_ = w.Close() // which ends it
	if wake, err := WaitSocket(p.PIDFD, Readable, time.Now().Add(20*time.Second)); wake != WakeSocket || err != nil {
		t.Errorf("the process does not end: %v, %v", wake, err)
	}
	Reap()
	return attr.Policy
}
