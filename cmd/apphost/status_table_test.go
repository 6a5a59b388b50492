package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/mpm/prefork"
)

// What clients send can neither move the cursor of an operator's terminal, nor
// make lines of its own, nor lines that are too long.
func TestAHostileClientCannotSpoilATerminal(t *testing.T) {
	evil := "GET /\x1b[2J\r\n\u202e\x9b\u0085" + strings.Repeat("x", 60)
	thread := prefork.WorkerStatus{
		Letter: "W", SinceSeconds: 1e6, TookSeconds: 1e6, Client: evil, Listener: evil, Request: evil, Protocol: evil,
	}
	s := &statuspage.Report{Version: "1", Config: "c"}
	s.Slots = []prefork.SlotStatus{
		{Slot: 19999, Letter: "W", State: "writing", ChildStatus: prefork.ChildStatus{Workers: []prefork.WorkerStatus{thread}}},
		{Slot: 1, Letter: "_", State: "ready"},
	}
	var out bytes.Buffer
	writeServed(&out, s)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want an empty one, the head and one:\n%q", len(lines), lines)
	}
	for _, line := range lines {
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the line has control signs: %q", line)
		}
		if n := len([]rune(line)); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
	if !strings.Contains(lines[2], "GET /?[2J???") {
		t.Errorf("the request is lost: %s", lines[2])
	}
}
