package prefork

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Whoever reads the debug log can follow each child's life, and count.
func TestTheDebugLogCountsChildren(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	w.parent.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.start()
	reply := w.ask(Reload)
	w.candidateDone()
	w.ready(w.children(2)...)
	w.drainIdle(1)
	if r, ok := answered(reply); !ok || len(r.Errors) > 0 {
		t.Fatalf("%+v, %v", r, ok)
	}
	for _, want := range []string{
		`msg="child spawned" slot=0 pid=102 generation=1 children=1 children_of_all=1`,
		`msg="child spawned" slot=2 pid=104 generation=1 children=3 children_of_all=3`,
		`msg="child is ready" slot=2 pid=104 generation=1 children=3 children_of_all=3`,
		`msg="child spawned" slot=3 pid=106 generation=2 children=1 children_of_all=4`,
		`msg="generation is to leave" generation=1 children=3 children_of_all=6`,
		`msg="child ended" slot=0 pid=102 status="exit status 0" generation=1 children=2 children_of_all=5`,
		`msg="child ended" slot=2 pid=104 status="exit status 0" generation=1 children=0 children_of_all=3`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in:\n%s", want, log.String())
		}
	}
}
