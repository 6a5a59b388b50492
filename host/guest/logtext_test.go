package guest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// A record of a failure stays small, whatever a guest calls its functions and
// however deep it is: the kernel writes up to 4096 bytes to a pipe at once.
func TestARecordOfAFailureIsBounded(t *testing.T) {
	pool, s := newPool(t, "deep"), newSession(t)
	i := get(t, pool, s)
	err := i.Call(s, "trap", []uint64{100})
	pool.Put(i, guest.EndOf(err))
	var out bytes.Buffer
	guest.LogFailure(context.Background(), slog.New(slog.NewJSONHandler(&out, nil)), "guest failed", err)
	if out.Len() > 4096 || !strings.Contains(out.String(), "unreachable") {
		t.Errorf("%d bytes: %s", out.Len(), out.String())
	}
	f, ok := errors.AsType[*guest.Failure](err)
	if !ok || len(f.Stack) < 1<<10 || len(f.Stack) > 2<<10+len("\n…") || !strings.HasSuffix(f.Stack, "\n…") {
		t.Errorf("stack of %d bytes: %s", len(f.Stack), f.Stack)
	}
	if got := guest.LogText(bytes.Repeat([]byte("x"), 5000)); len(got) != abi.LogBytesMax+len("…") {
		t.Errorf("text of %d bytes", len(got))
	}
}

// A session is bounded in each minute: one that lives long is heard again.
func TestALogBudgetIsForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b guest.LogBudget
		fill := func() (n int) {
			for b.Take(1000) {
				n++
			}
			return n
		}
		if n := fill(); n < 50 || n > 65 {
			t.Errorf("%d records of 1000 bytes", n)
		}
		<-time.After(time.Minute)
		if !b.Take(1 << 30) {
			t.Error("a record that will be cut is charged as if it were not")
		}
		if n := fill(); n < 50 {
			t.Errorf("%d records after a minute", n)
		}
		var out bytes.Buffer
		for range 2 {
			b.LogDropped(t.Context(), func() *slog.Logger { return slog.New(slog.NewTextHandler(&out, nil)) })
		}
		if strings.Count(out.String(), "guest output dropped") != 1 {
			t.Errorf("logged %q", out.String())
		}
	})
}
