package prefork

import (
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/scoreboard"
)

// The places of the codes in the tests.
const (
	bad, good, spared = 0, 1, 2
)

// failing is a world with a code that may fail 3 times in a minute, a second one
// like it, and one that may fail as often as it likes.
func failing(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.options.Codes = []mpm.Code{
		{Name: "bad", QuarantineAfter: 3, QuarantineWindow: time.Minute},
		{Name: "good", QuarantineAfter: 3, QuarantineWindow: time.Minute},
		{Name: "spared"},
	}
	w.start()
	w.pass(2 * time.Second) // the children are no longer young
	return w
}

// fails lets a child say that a code has failed n times more.
func (w *world) fails(p *fakeProcess, code, n int) {
	if w.failed[p.slot] == nil {
		w.failed[p.slot] = make([]uint64, len(w.options.Codes))
	}
	w.failed[p.slot][code] += uint64(n)
}

// runs lets a child run a code.
func (w *world) runsCode(p *fakeProcess, name string) {
	w.runs[p.slot] = []scoreboard.Running{{Number: 1}}
	w.reports[p.slot] = threadReport{ThreadStatus: scoreboard.ThreadStatus{Code: name}}
}

// out are the names of the codes that are quarantined, and the generation's
// children have been told so.
func (w *world) out() string {
	w.t.Helper()
	var names []string
	for i, c := range w.look().Codes {
		if told := w.files[len(w.files)-1].out[i]; told != (c.Quarantined != nil) {
			w.t.Errorf("children were told %v of %s, and the status says %v", told, c.Name, c.Quarantined)
		}
		if c.Quarantined != nil {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, " ")
}

func (w *world) release(name string) Result {
	reply := make(chan Result, 1)
	w.parent.handle(released{name, reply}, w.now)
	return <-reply
}

func TestACodeThatFailsTooOftenIsQuarantined(t *testing.T) {
	w := failing(t)
	children := w.children(1)
	w.fails(children[0], bad, 1)
	w.fails(children[1], bad, 1)
	w.fails(children[1], good, 2)
	w.fails(children[2], spared, 100)
	w.pass(countInterval)
	if got := w.out(); got != "" {
		t.Fatalf("%s is quarantined too early", got)
	}
	w.fails(children[0], bad, 1)
	w.pass(countInterval)
	if got := w.out(); got != "bad" {
		t.Fatalf("quarantined: %q", got)
	}
	if w.said("plugin is quarantined", "level=ERROR", "plugin=bad", "failures=3", "quarantine_window=1m0s") != 1 {
		t.Errorf("the log says:\n%s", w.log.String())
	}
	w.fails(children[0], bad, 5) // what was under way
	w.pass(countInterval)
	if w.said("plugin is quarantined") != 1 {
		t.Errorf("it is told again:\n%s", w.log.String())
	}
	codes := w.look().Codes
	if codes[bad].Failures != 8 || codes[good].Failures != 2 || codes[spared].Failures != 100 {
		t.Errorf("the status says %+v", codes)
	}
}

func TestFailuresThatAreFarApartAreForgotten(t *testing.T) {
	w := failing(t)
	child := w.children(1)[0]
	for range 20 {
		w.fails(child, bad, 1)
		w.pass(31 * time.Second)
	}
	if got := w.out(); got != "" {
		t.Errorf("%s is quarantined for two failures in a minute", got)
	}
}

// The master is told within countInterval, also while it keeps the number of
// children at its leisure.
func TestFailuresAreHeardOfWhileNobodyIsSpawned(t *testing.T) {
	w := failing(t)
	w.parent.serving.maintenance = w.now.Add(time.Hour)
	w.pass(maintenanceInterval)
	w.fails(w.children(1)[0], bad, 3)
	if next := w.parent.advance(w.now); next.After(w.now.Add(countInterval)) {
		t.Errorf("the master sleeps until %s, it is %s", next, w.now)
	}
}

func TestWithoutAQuarantineNobodyIsWokenForFailures(t *testing.T) {
	w := newWorld(t)
	w.options.Codes = []mpm.Code{{Name: "spared"}}
	w.start()
	var next wakeUp
	w.parent.countFailures(w.now, &next)
	if !next.time.IsZero() {
		t.Errorf("the master wants to wake at %s", next.time)
	}
}

func TestAKillForAnOverrunIsAFailure(t *testing.T) {
	w := newWorld(t)
	w.options.Watch = true
	w.options.Codes = []mpm.Code{{Name: "spin", QuarantineAfter: 2, QuarantineWindow: time.Minute}}
	w.start()
	for range 2 {
		child := w.children(1)[0]
		w.states[child.slot] = mpm.StateWriting
		w.run(child.slot, scoreboard.Running{Number: 1, Budget: time.Second})
		w.reports[child.slot] = threadReport{ThreadStatus: scoreboard.ThreadStatus{Code: "spin"}}
		if got := w.out(); got != "" {
			t.Fatalf("%s is quarantined too early", got)
		}
		w.pass(1200 * time.Millisecond)
		if !killed(child) {
			t.Fatal("it runs on")
		}
		w.runs[child.slot] = nil
		w.ready(w.children(1)...)
	}
	if got := w.out(); got != "spin" {
		t.Errorf("quarantined: %q", got)
	}
	if n := w.look().Codes[0].Failures; n != 2 {
		t.Errorf("%d failures of 2 kills", n)
	}
}

func TestADeathIsAFailureOfWhatRan(t *testing.T) {
	w := failing(t)
	for range 3 {
		child := w.children(1)[0]
		w.runsCode(child, "bad")
		w.exit(child, syscall.WaitStatus(syscall.SIGSEGV))
		w.settle()
		w.runs[child.slot] = nil
		w.ready(w.children(1)...)
		w.pass(2 * time.Second)
	}
	if got := w.out(); got != "bad" {
		t.Errorf("quarantined: %q; log:\n%s", got, w.log.String())
	}
}

// What a child has said before it died counts as well.
func TestTheLastWordsOfAChildAreHeard(t *testing.T) {
	w := failing(t)
	child := w.children(1)[0]
	w.fails(child, bad, 3)
	w.exit(child, exited(ExitOK))
	w.settle()
	if got := w.out(); got != "bad" {
		t.Errorf("quarantined: %q", got)
	}
}

func TestADeathThatIsNobodysFaultIsNoFailure(t *testing.T) {
	for name, die := range map[string]func(w *world, p *fakeProcess){
		"it leaves":             func(w *world, p *fakeProcess) { w.exit(p, exited(ExitOK)) },
		"an operator ends it":   func(w *world, p *fakeProcess) { w.exit(p, syscall.WaitStatus(syscall.SIGTERM)) },
		"it runs nothing":       func(w *world, p *fakeProcess) { w.runs[p.slot] = nil; w.exit(p, exited(2)) },
		"nobody knows the code": func(w *world, p *fakeProcess) { w.runsCode(p, "other"); w.exit(p, exited(2)) },
		"it has said it cannot": func(w *world, p *fakeProcess) {
			w.parent.handle(childSaid{pid: p.number, fail: "no"}, w.now)
			w.exit(p, exited(ExitFatal))
		},
		"the code has no name":    func(w *world, p *fakeProcess) { w.runsCode(p, ""); w.exit(p, exited(2)) },
		"the master has ended it": func(w *world, p *fakeProcess) { w.parent.end(w.parent.byPID[p.number], syscall.SIGKILL, w.now) },
	} {
		t.Run(name, func(t *testing.T) {
			w := failing(t)
			for range 5 {
				child := w.children(1)[0]
				w.runsCode(child, "bad")
				die(w, child)
				w.settle()
				w.runs[child.slot] = nil
				w.ready(w.children(1)...)
				w.pass(2 * time.Second)
			}
			if n := w.look().Codes[bad].Failures; n != 0 {
				t.Errorf("%d failures", n)
			}
		})
	}
}

// Two codes whose names look the same where they are cut are told apart by
// nobody, and neither pays for the other.
func TestACutNameThatTwoHaveIsNobodys(t *testing.T) {
	long := strings.Repeat("x", 100)
	g := &generation{blueprint: &blueprint{options: &mpm.Options{Codes: []mpm.Code{{Name: long + "1"}, {Name: long + "2"}, {Name: "y"}}}}}
	if got := g.codeNamed(scoreboard.CutName(long)); got != -1 {
		t.Errorf("it is taken for code %d", got)
	}
	if got := g.codeNamed("y"); got != 2 {
		t.Errorf("y is code %d", got)
	}
	g.options.Codes = g.options.Codes[:1]
	if got := g.codeNamed(scoreboard.CutName(long + "1")); got != 0 {
		t.Errorf("the only one is code %d", got)
	}
}

// A child can write anything, and take back what it has written.
func TestWhatALyingChildCanDo(t *testing.T) {
	w := failing(t)
	liar := w.children(1)[0]
	w.failed[liar.slot] = []uint64{math.MaxUint64, 2, math.MaxUint64, 7, 7, 7} // codes that there are not
	w.pass(countInterval)
	w.failed[liar.slot] = []uint64{0, 1, 5}
	w.pass(countInterval)
	if got := w.out(); got != "bad" {
		t.Errorf("quarantined: %q", got)
	}
	codes := w.look().Codes
	if codes[good].Failures != 2 || codes[bad].Failures > 10_000_000 {
		t.Errorf("the status says %+v", codes)
	}
}

func TestReleaseBringsACodeBack(t *testing.T) {
	w := failing(t)
	child := w.children(1)[0]
	if r := w.release("bad"); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "not quarantined") {
		t.Errorf("before there is a reason to: %+v", r)
	}
	if r := w.release("none"); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "have: bad, good, spared") {
		t.Errorf("of a plugin that there is not: %+v", r)
	}
	w.fails(child, bad, 3)
	w.pass(countInterval)
	w.fails(child, bad, 2) // under way until it was quarantined
	if r := w.release("bad"); len(r.Errors) > 0 || r.Generation != 1 {
		t.Errorf("the answer is %+v", r)
	}
	w.fails(child, bad, 2)
	w.pass(countInterval)
	if got := w.out(); got != "" {
		t.Errorf("%s is quarantined for what it did before", got)
	}
	w.fails(child, bad, 1)
	w.pass(countInterval)
	if got := w.out(); got != "bad" {
		t.Errorf("after 3 failures more, quarantined: %q", got)
	}
}

func TestAReloadBringsEverythingBack(t *testing.T) {
	w := failing(t)
	old := w.children(1)[0]
	w.fails(old, bad, 3)
	w.pass(countInterval)
	w.states[old.slot] = mpm.StateWriting
	w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	w.fails(old, bad, 10) // which it finishes
	w.pass(countInterval)
	if got := w.out(); got != "" {
		t.Errorf("%s is quarantined", got)
	}
	if !w.files[0].out[bad] {
		t.Error("the old generation takes it up again")
	}
	if n := w.look().Codes[bad].Failures; n != 0 {
		t.Errorf("the new one is blamed for %d failures", n)
	}
}

// Another program that takes over knows what is quarantined, tells the children
// anew, and counts on.
func TestAQuarantineIsHandedOver(t *testing.T) {
	w := failing(t)
	child := w.children(1)[0]
	w.fails(child, bad, 3)
	w.fails(child, good, 2)
	w.upgrade("/new")
	w.candidateDone()
	w.files[0].out = nil
	n := w.next(t, false)
	n.options.Codes = w.options.Codes
	if got := n.out(); got != "bad" {
		t.Errorf("quarantined: %q", got)
	}
	if codes := n.look().Codes; codes[bad].Failures != 3 || codes[good].Failures != 2 {
		t.Errorf("failures of before: %+v", codes)
	}
	n.fails(child, good, 3) // those of before are no longer counted together with these
	n.pass(countInterval)
	if got := n.out(); got != "bad good" {
		t.Errorf("after further failures, quarantined: %q", got)
	}
	if r := n.release("bad"); len(r.Errors) > 0 {
		t.Errorf("release: %v", r.Errors)
	}
	if got := n.out(); got != "good" {
		t.Errorf("after the release, quarantined: %q", got)
	}
}

func TestReleaseWithoutAServingGeneration(t *testing.T) {
	w := newWorld(t)
	w.options.Codes = []mpm.Code{{Name: "bad"}}
	w.parent.begin(w.now)
	if r := w.release("bad"); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "starting") {
		t.Errorf("while it starts: %+v", r)
	}
	w.candidateDone()
	w.ready(w.children(1)...)
	w.ask(Stop)
	if r := w.release("bad"); len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "stopping") {
		t.Errorf("while it stops: %+v", r)
	}
}
