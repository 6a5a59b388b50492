package command

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

var (
	_ guest.Ending = (*connInput)(nil)
	_ guest.Ending = (*connOutput)(nil)
	_ guest.Ending = (*requestBody)(nil)
	_ guest.Ending = (*response)(nil)
)

// A connection's direction is at its end after its last error, which a timeout is
// not.
func TestAConnectionEndsWithItsLastError(t *testing.T) {
	c, client := hosttest.Pair(t, "tcp")
	in, out := &connInput{conn: c, timeout: time.Millisecond}, &connOutput{conn: c, timeout: time.Millisecond}
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || in.Ended() {
		t.Errorf("a timeout: %v, ended %v", err, in.Ended())
	}
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	in.timeout = 20 * time.Second
	if _, err := in.Read(make([]byte, 1)); err != nil || in.Ended() {
		t.Errorf("a byte: %v, ended %v", err, in.Ended())
	}
	_ = client.CloseWrite()
	if _, err := in.Read(make([]byte, 1)); err != io.EOF || !in.Ended() || out.Ended() {
		t.Errorf("the end: %v, ended %v, output ended %v", err, in.Ended(), out.Ended())
	}
	var err error
	for err == nil { // until nothing more fits
		_, err = out.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || out.Ended() {
		t.Errorf("a timeout: %v, ended %v", err, out.Ended())
	}
	_ = out.Close()
	if _, err := out.Write([]byte("x")); err == nil || !out.Ended() {
		t.Errorf("after the end: %v, ended %v", err, out.Ended())
	}
}

func TestABodyIsEndedByItsEndOrAnError(t *testing.T) {
	for _, last := range []error{io.EOF, net.ErrClosed} {
		b := &requestBody{source: io.MultiReader(strings.NewReader("x"), failing{last})}
		p := make([]byte, 1)
		if _, err := b.Read(p); err != nil || b.Ended() {
			t.Errorf("a byte: %v, ended %v", err, b.Ended())
		}
		if _, err := b.Read(p); !errors.Is(err, last) || !b.Ended() {
			t.Errorf("then %v, ended %v, want %v", err, b.Ended(), last)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// gone is a sink whose client does not want more.
type gone struct{ sink }

func (*gone) Write([]byte) (int, error) { return 0, net.ErrClosed }

// bodiless is a sink whose response has no body.
type bodiless struct{ sink }

func (b *bodiless) Dropping() bool { return len(b.body) > 1 }

func TestAResponseEndsWithItsClientOrItsHeader(t *testing.T) {
	for name, tc := range map[string]struct {
		to    *response
		first string
	}{
		"a client that is gone":     {&response{x: &gone{}}, "A: b\n\n"},
		"a header that is none":     {&response{x: &sink{}}, "A: b\n"},
		"a response without a body": {&response{x: &bodiless{}}, "A: b\n\nx"},
	} {
		if _, err := tc.to.Write([]byte(tc.first)); err != nil || tc.to.Ended() {
			t.Errorf("%s: %v, ended %v", name, err, tc.to.Ended())
		}
		_, _ = tc.to.Write([]byte("c\n\n"))
		if !tc.to.Ended() {
			t.Errorf("%s: it goes on", name)
		}
	}
}
