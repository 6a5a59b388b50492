package sys

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDescriptorsPassThroughASocket(t *testing.T) {
	ours, theirs, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	r, w := pipe(t)
	if err := ours.SendFDs([]FD{r, w}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	got, err := theirs.RecvFDs(2)
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := got[1].Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if n, err := r.Read(b[:]); n != 1 || err != nil || b[0] != 'x' {
		t.Errorf("what was passed is something else: %d, %v", n, err)
	}
	for _, fd := range got {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d goes on to other programs: %x, %v", fd, flags, err)
		}
		_ = fd.Close()
	}

	// What the other side does not take is not waited for.
	var full error
	for range 10_000 {
		if full = ours.SendFDs([]FD{r}); full != nil {
			break
		}
	}
	if !errors.Is(full, unix.EAGAIN) {
		t.Errorf("a full socket: %v", full)
	}
	if n, err := ours.Receive(b[:]); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing to receive: %d, %v", n, err)
	}
	_ = ours.Close()
	for {
		fds, err := theirs.RecvFDs(1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v; want the end of the stream", err)
		}
		_ = fds[0].Close()
	}
}
