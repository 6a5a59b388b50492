package conn

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func newConnected(t testing.TB) (*forward, *hosttest.Conn, *net.TCPConn) {
	c, client := hosttest.Pair(t, "echo")
	return newForward(t, c, Settings{}), c, client
}

func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func TestReadReturnsWhatArrivedThenTheEnd(t *testing.T) {
	f, _, client := newConnected(t)
	send(t, client, "hello")
	f.want(2, "conn_read", 100, 2)
	f.want(3, "conn_read", 102, 100)
	if got := f.peek(100, 6); got != "hello\x00" {
		t.Errorf("read %q", got)
	}
	send(t, client, "world")
	f.want(3, "conn_read", memoryEnd-3, ^uint32(0)) // cut at the end of the memory
	f.want(efault, "conn_read", memoryEnd, 1)
	f.want(efault, "conn_read", ^uint32(0), 1)
	f.want(einval, "conn_read", 0, 0)
	f.want(einval, "conn_read", ^uint32(0), 0)
	f.want(2, "conn_read", 0, 10)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	f.want(0, "conn_read", 0, 10)
	f.want(0, "conn_read", 0, 10)
}

func TestWriteSendsAllOrNothingInvalid(t *testing.T) {
	f, _, client := newConnected(t)
	f.poke(10, "hello")
	f.want(5, "conn_write", 10, 5)
	f.want(0, "conn_write", 10, 0)
	f.want(efault, "conn_write", memoryEnd-1, 2)
	f.want(efault, "conn_write", memoryEnd+1, 0)
	f.want(einval, "conn_write", 0, 1<<31)
	f.want(einval, "conn_write", 0, ^uint32(0))
	f.want(einval, "conn_shutdown", 0)
	f.want(einval, "conn_shutdown", 2)
	f.want(0, "conn_shutdown", 1)
	f.want(-64, "conn_write", 10, 5)
	if got, err := io.ReadAll(client); err != nil || string(got) != "hello" {
		t.Errorf("client got %q, %v", got, err)
	}
	send(t, client, "x") // the other direction is open
	f.want(1, "conn_read", 0, 10)
}

func TestInfo(t *testing.T) {
	f, c, _ := newConnected(t)
	for key, want := range map[uint32]string{
		1: c.RemoteAddr().String(), 2: c.LocalAddr().String(), 3: "echo", 4: "", 5: "", 6: "g7-s3-42",
	} {
		f.want(int32(len(want)), "conn_info", key, 100, 64)
		if got := f.peek(100, uint32(len(want))); got != want {
			t.Errorf("info %d is %q, want %q", key, got, want)
		}
	}
	f.want(4, "conn_info", 3, 100, 3)
	f.want(efault, "conn_info", 3, memoryEnd-3, 4)
	f.want(einval, "conn_info", 0, 100, 64)
	f.want(einval, "conn_info", 7, 100, 64)
}

func TestTimeoutsApplyToEachReadAndWrite(t *testing.T) {
	f, _, client := newConnected(t)
	f.want(einval, "conn_set_timeout", 0, 1)
	f.want(einval, "conn_set_timeout", 3, 1)
	f.want(0, "conn_set_timeout", 1, 1)
	f.want(-73, "conn_read", 0, 10)
	f.want(-73, "conn_read", 0, 10)
	f.want(0, "conn_set_timeout", 1, 0) // none again, although one has passed
	send(t, client, "x")
	f.want(1, "conn_read", 0, 10)

	f.want(0, "conn_set_timeout", 2, 1)
	for f.call("conn_write", 0, memoryEnd) > 0 { // until nothing more fits
	}
	f.want(-73, "conn_write", 0, memoryEnd)
}

// The listener's timeouts hold where the guest has none: before it sets one,
// and after it went back to the default.
func TestTheListenersTimeoutsAreTheDefault(t *testing.T) {
	f, _, client := newConnected(t)
	f.s.read.fallback, f.s.write.fallback = time.Millisecond, time.Millisecond
	f.want(-73, "conn_read", 0, 10)
	f.want(0, "conn_set_timeout", 1, 60_000)
	send(t, client, "x")
	f.want(1, "conn_read", 0, 10)
	f.want(0, "conn_set_timeout", 1, 0)
	f.want(-73, "conn_read", 0, 10)
	for f.call("conn_write", 0, memoryEnd) > 0 { // until nothing more fits
	}
	f.want(-73, "conn_write", 0, memoryEnd)
}

// A guest that logs in a loop fills no disk, and what is missing is counted.
func TestWhatAConnectionLogsIsBounded(t *testing.T) {
	logger, log := hosttest.Logger()
	f := newForward(t, nil, Settings{Logger: logger})
	for range 1000 {
		f.want(0, "log", 0, 0, 1000)
		f.want(0, "log", 0, 0, 0)
	}
	f.s.GuestLine("stdout", []byte("line"))
	if got := log.Take(); len(got) < 32<<10 || len(got) > 1<<20 || strings.Contains(got, "line") {
		t.Errorf("logged %d bytes", len(got))
	}
	f.s.end()
	if got, want := log.Take(), "level=WARN msg=\"guest output dropped\" records=18"; !strings.HasPrefix(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

func TestAResetAndAClosedConnectionHaveNumbers(t *testing.T) {
	f, c, client := newConnected(t)
	if err := client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	f.want(-15, "conn_read", 0, 10)
	_ = c.Close()
	f.want(-64, "conn_read", 0, 10)
	f.want(-64, "conn_write", 0, 10)
	f.want(-64, "conn_shutdown", 1)
}

// A guest may find out in its own time that nobody is there, and not write for ever.
func TestAGuestThatWritesToNobodyIsEnded(t *testing.T) {
	f, c, _ := newConnected(t)
	_ = c.Close()
	for range deadWritesMax {
		f.want(-64, "conn_write", 0, 10)
		f.want(-64, "conn_read", 0, 10)
	}
	if _, err := f.try("conn_write", 0, 10); !guest.IsStopped(err) {
		t.Errorf("got %v", err)
	}
}

func TestStoppingFollowsTheChild(t *testing.T) {
	f, c, _ := newConnected(t)
	f.want(0, "stopping")
	c.Leave.Store(true)
	f.want(1, "stopping")
}

// serve runs the probe for one connection on which the client sends op.
func serve(t *testing.T, p *Plugin, op string) string {
	t.Helper()
	c, client := hosttest.Pair(t, "probe")
	send(t, client, op)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.ServeConn(t.Context(), c, Timeouts{}, name("g7-s3-42"))
	_ = c.Close()
	got, err := io.ReadAll(client)
	if err != nil && len(got) == 0 {
		return err.Error()
	}
	return string(got)
}

func TestATrapEndsItsConnectionOnly(t *testing.T) {
	logger, log := hosttest.Logger()
	p := newPlugin(t, "probe", Settings{Logger: logger.With("plugin", "probe")})
	if got := serve(t, p, "ehello"); got != "hello" {
		t.Errorf("echo says %q", got)
	}
	if got := log.Take(); got != "" {
		t.Errorf("logged %q", got)
	}
	for op, want := range map[string]string{
		"t": `level=ERROR msg="guest failed" plugin=probe connection=g7-s3-42 error="process_connection trapped: wasm error: unreachable" stack=`,
		"n": `level=WARN msg="guest reported an error" plugin=probe connection=g7-s3-42 code=7`,
		"x": `level=WARN msg="guest reported an error" plugin=probe connection=g7-s3-42 code=9`,
	} {
		serve(t, p, op)
		if got := log.Take(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s logged %q, want %q", op, got, want)
		}
		// "A" is from child_init, the counts say that nothing else is old.
		if got := serve(t, p, "c"); got != "A11" {
			t.Errorf("after %s: %q, want A11", op, got)
		}
	}
}

func TestCheckSaysWhatChildInitDid(t *testing.T) {
	for name, want := range map[string]string{
		"probe":      "",
		"init_fails": "child_init returned 3",
		"init_traps": "child_init trapped: wasm error: unreachable",
	} {
		var steps []string
		err := newPlugin(t, name, Settings{}).Check(t.Context(), 1, func(what string) { steps = append(steps, what) })
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		wantSteps := "instantiate child_init"
		if name == "probe" {
			wantSteps = "instantiate _initialize child_init"
		}
		if got := strings.Join(steps, " "); got != wantSteps {
			t.Errorf("%s: steps %q", name, got)
		}
	}
}

// A call that may have to wait is not the guest's time. One that cannot be made has
// nothing to wait for, and at the end of a direction none has, but after a timeout one
// does.
func TestACallThatCannotWaitIsTheGuestsTime(t *testing.T) {
	f, _, client := newConnected(t)
	w := &hosttest.Waits{}
	f.s.Guard = guest.NewGuard(w, "forward", guest.NewLimits(time.Second, 0))
	waits := func(want bool, fn string, args ...uint32) {
		t.Helper()
		before := w.N
		f.call(fn, args...)
		if waited := w.N > before; waited != want {
			t.Errorf("%s: waits %v, want %v", fn, waited, want)
		}
	}
	c := f.s.conn
	f.s.conn = nil
	waits(false, "conn_read", 0, 10)
	waits(false, "conn_write", 0, 10)
	f.s.conn = c
	for _, args := range [][]uint32{{memoryEnd, 1}, {1 << 31, 1}, {0, 0}} {
		waits(false, "conn_read", args...)
		waits(false, "conn_write", args...)
	}
	waits(false, "conn_write", 0, 1<<31)
	waits(false, "conn_write", 0, memoryEnd+1)
	f.want(0, "conn_set_timeout", 1, 1)
	waits(true, "conn_read", 0, 10) // it times out
	waits(true, "conn_read", 0, 10)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	f.want(0, "conn_set_timeout", 1, 0)
	waits(true, "conn_read", 0, 10)
	waits(false, "conn_read", 0, 10)

	f.want(0, "conn_set_timeout", 2, 1)
	for f.call("conn_write", 0, memoryEnd) > 0 { // until nothing more fits
	}
	waits(true, "conn_write", 0, memoryEnd)
	f.call("conn_shutdown", 1)
	waits(true, "conn_write", 0, 1)
	waits(false, "conn_write", 0, 1)
}
