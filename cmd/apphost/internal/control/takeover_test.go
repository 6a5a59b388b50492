package control

import (
	"context"
	"encoding/json"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/prefork"
)

// The program that takes over answers whom the one before it did not, and
// everybody who comes after.
func TestRequestsAreAnsweredByTheNextProgram(t *testing.T) {
	runtimeFolder(t)
	first, err := Listen("/etc/a.toml")
	if err != nil {
		t.Fatal(err)
	}
	first.listener.SetUnlinkOnClose(false) // as if the program was replaced
	begun := make(chan struct{})
	never := make(chan struct{})
	defer close(never)
	go first.Serve(func(context.Context, Request) any {
		close(begun)
		<-never
		return nil
	})
	type answer struct {
		r   prefork.Result
		err error
	}
	asked := make(chan answer, 1)
	go func() {
		var a answer
		a.err = AskFor(t.Context(), "/etc/a.toml", Request{Verb: Upgrade, Binary: "/new"}, &a.r)
		asked <- a
	}()
	<-begun

	h, undo, err := first.Export()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Descriptors()) != 2 {
		t.Errorf("descriptors of %+v: %v", h, h.Descriptors())
	}
	// As over an exec: the numbers are all that is left of the files.
	for _, fd := range append([]*int{&h.Listener}, &h.Asked[0].FD) {
		if *fd, err = unix.Dup(*fd); err != nil {
			t.Fatal(err)
		}
	}
	undo()
	raw, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	h = Handed{}
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	second, err := Resume(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	second.Settle()
	got := make(chan Request, 2)
	go second.Serve(func(_ context.Context, r Request) any {
		got <- r
		return prefork.Result{Generation: 5}
	})
	if r := <-got; r != (Request{Verb: Upgrade, Binary: "/new", Resumed: true}) {
		t.Errorf("resumed: %+v", r)
	}
	if a := <-asked; a.err != nil || a.r.Generation != 5 {
		t.Errorf("who asked the first program: %+v, %v", a.r, a.err)
	}
	_ = first.listener.Close()
	if r, err := reload(t, "/etc/a.toml"); err != nil || r.Generation != 5 {
		t.Errorf("who asks the second: %+v, %v", r, err)
	}
}

func TestResumeRefusesWhatIsNoSocket(t *testing.T) {
	if s, err := Resume(Handed{Listener: 1 << 20}); err == nil {
		s.Close()
		t.Error("a server was made of nothing")
	}
}
