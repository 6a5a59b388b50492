package scoreboard

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apphost/apphost/mpm"
)

func TestAThreadTellsWhatItServes(t *testing.T) {
	s := newSlot(t, 2)
	own := attach(t, s).Thread(1)
	own.SetState(mpm.StateReading)
	own.BeginConn([]byte("[2001:db8::1]:4711"), "web", 100)
	own.BeginRequest([]byte("GET"), []byte("/a?b"), []byte("HTTP/1.1"), 150)
	own.EndRequest(10, 170)
	own.BeginRequest([]byte("POST"), []byte("/"+strings.Repeat("x", 100)), []byte("HTTP/1.0"), 200)
	own.EndRequest(5, 260)
	got := s.Thread(1).Status()
	want := ThreadStatus{
		State: mpm.StateReading, Totals: Totals{0, 2, 15, 80}, Start: 200, Stop: 260,
		Client: "[2001:db8::1]:4711", Listener: "web",
		Request: "POST /" + strings.Repeat("x", requestBytes-len("POST /")), Protocol: "HTTP/1.0",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	own.EndConn(99, 300)
	if got := s.Thread(1).Status().Totals; got != (Totals{1, 2, 15, 80}) {
		t.Errorf("after the connection: %+v; what its requests sent counts once", got)
	}
	own.BeginConn([]byte("@"), "raw", 400)
	if got := s.Thread(1).Status(); got.Request != "" || got.Protocol != "" || got.Start != 400 {
		t.Errorf("the next connection begins with %+v", got)
	}
	own.EndConn(20, 500)
	if got := s.Thread(1).Status(); got.Totals != (Totals{2, 2, 35, 180}) || got.Stop != 500 {
		t.Errorf("after a connection without requests: %+v", got)
	}
}

// What code has called last is known for as long as that code runs.
func TestAThreadTellsWhatItsCodeCalledLast(t *testing.T) {
	s := newSlot(t, 2)
	own := attach(t, s).Thread(1)
	own.Run("one", 0)
	own.Call("read")
	own.Call("a_" + strings.Repeat("long", 10))
	if got, want := s.Thread(1).Status().Call, ("a_" + strings.Repeat("long", 10))[:callBytes]; got != want {
		t.Errorf("it has called %q, want %q", got, want)
	}
	own.Pause()
	own.Resume()
	own.Call("read")
	if got := s.Thread(1).Status(); got.Call != "read" || got.Code != "one" {
		t.Errorf("%q has called %q", got.Code, got.Call)
	}
	own.Run("one", 0)
	if got := s.Thread(1).Status().Call; got != "" {
		t.Errorf("another run has called %q", got)
	}
	own.Call("read")
	s.Reset()
	if got := s.Thread(1).Status().Call; got != "" {
		t.Errorf("the next owner has called %q", got)
	}
}

// A string is one that was written, never parts of two. The writer and the
// reader have a mapping each, as two processes do.
func TestStringsAreNotTorn(t *testing.T) {
	s := newSlot(t, 1)
	own := attach(t, s).Thread(0)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				own.BeginConn(bytes.Repeat([]byte{byte('a' + i%26)}, 48), "l", 0)
			}
		}
	})
	read := 0
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); {
		got := s.Thread(0).Status().Client
		if got == "" {
			continue // the writer was faster each time
		}
		read++
		if strings.Trim(got, got[:1]) != "" {
			t.Fatalf("read %q", got)
		}
	}
	close(stop)
	writer.Wait()
	if read == 0 {
		t.Error("no string could be read in 200 ms")
	}
}

func TestAWriterThatDiedHoldsUpNobody(t *testing.T) {
	s := newSlot(t, 1)
	s.Thread(0).BeginConn([]byte("client"), "listener", 1)
	s.Thread(0).sequence.Add(1)
	if got := s.Thread(0).Status(); got.Client != "" || got.Listener != "" {
		t.Errorf("half-written strings were read: %+v", got)
	}
	s.Reset()
	s.Thread(0).BeginConn([]byte("client"), "listener", 1)
	if got := s.Thread(0).Status(); got.Client != "client" {
		t.Errorf("the next owner's strings are not read: %+v", got)
	}
}

// legal holds what is true of a slot whatever its bytes are.
func legal(t *testing.T, s *Slot) {
	t.Helper()
	if s.State() > mpm.StateIdleKill {
		t.Errorf("the slot has the state %d", s.State())
	}
	ready, busy := s.Count()
	if ready < 0 || busy < 0 || ready+busy > s.Threads() {
		t.Errorf("%d threads ready and %d busy, of %d", ready, busy, s.Threads())
	}
	for i := range s.Threads() {
		got := s.Thread(i).Status()
		if got.State > mpm.StateIdleKill || got.Start < 0 || got.Stop < 0 || got.Totals.Duration < 0 {
			t.Errorf("thread %d: %+v", i, got)
		}
		for _, text := range []string{got.Client, got.Listener, got.Request, got.Protocol, got.Code, got.Call} {
			if !utf8.ValidString(text) || len(text) > requestBytes {
				t.Errorf("thread %d: the string %q", i, text)
			}
		}
	}
	s.Served()
}

func TestRandomBytesAreReadAsSomethingLegal(t *testing.T) {
	s := newSlot(t, 5)
	owner := attach(t, s)
	noise := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		for i := range owner.mem {
			owner.mem[i] = byte(noise.Uint32())
		}
		legal(t, s)
	}
	s.Reset()
	legal(t, s)
	if got := s.State(); got != mpm.StateStarting {
		t.Errorf("state %v after the slot was prepared for another, want starting", got)
	}
}

func FuzzSlot(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{0xff}, slotBytes(1, 0)))
	f.Add(bytes.Repeat([]byte{2, 0, 0, 0}, 1000))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSlot(t, 2)
		copy(attach(t, s).mem, raw)
		legal(t, s)
		s.Reset()
		legal(t, s)
	})
}

// BenchmarkThread is all that one request of a connection costs here.
func BenchmarkThread(b *testing.B) {
	own := newSlot(b, 1).Thread(0)
	method, target, protocol := []byte("GET"), []byte("/some/path/of/usual/length"), []byte("HTTP/1.1")
	own.BeginConn([]byte("127.0.0.1:50000"), "web", 0)
	b.ReportAllocs()
	for i := range b.N {
		now := time.Duration(i)
		own.SetState(mpm.StateReading)
		own.BeginRequest(method, target, protocol, now)
		own.Run("hello", time.Second)
		own.Call("get_uri")
		own.Pause()
		own.Resume()
		own.Call("write_body")
		own.Pause()
		own.Resume()
		own.Pause()
		own.SetState(mpm.StateWriting)
		own.EndRequest(100, now)
		own.SetState(mpm.StateKeepalive)
	}
}

// A pause for nothing does not make another run of it, and whoever has looked
// meanwhile hears that it goes on.
func TestARunThatContinuesIsTheSame(t *testing.T) {
	master := newSlot(t, 1)
	owner, rings := attach(t, master), 0
	owner.OnBell(func() { rings++ })
	own, seen := owner.Thread(0), master.Thread(0)
	own.Continue()
	if n := seen.Running().Number; n != 0 {
		t.Errorf("run %d goes on before one has begun", n)
	}
	own.Run("echo", time.Second)
	first := seen.Running()
	own.Pause()
	if n := seen.Running().Number; n != 0 {
		t.Errorf("run %d waits", n)
	}
	master.AwaitRun()
	own.Continue()
	own.Continue()
	if got := seen.Running(); got != first || rings != 1 {
		t.Errorf("%+v goes on as %+v, the bell rang %d times", first, got, rings)
	}
	own.Pause()
	own.Resume()
	if got := seen.Running(); got.Number == first.Number {
		t.Error("after a wait it is the same run")
	}
}

func TestTheBellRingsOnceForEachTimeItIsAskedFor(t *testing.T) {
	master := newSlot(t, 2)
	owner := attach(t, master)
	rings := 0
	owner.OnBell(func() { rings++ })
	run := func(thread int) {
		owner.Thread(thread).Run("echo", time.Second)
		owner.Thread(thread).Pause()
	}
	run(0)
	for round := 1; round < 4; round++ {
		master.AwaitRun()
		master.AwaitRun()
		if rings != round-1 {
			t.Fatalf("it rang %d times before anyone ran", rings)
		}
		run(1)
		owner.Thread(0).Resume()
		owner.Thread(0).Pause()
		if rings != round {
			t.Fatalf("it rang %d times, not %d", rings, round)
		}
	}
	master.AwaitRun()
	master.Reset()
	if run(0); rings != 3 {
		t.Error("it rings for the owner before")
	}
}
