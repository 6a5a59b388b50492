package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A reload works, and then the children die. What served before serves again,
// and everybody who wants to know can see it.
func TestE2EAGenerationThatDiesIsRolledBack(t *testing.T) {
	const prove = "prove_deaths = 3\nprove_time = \"1m\""
	s := apphosttest.New(t, strings.Replace(plain, "[mpm]", "[mpm]\n"+prove, 1), map[string]string{"hello": helloWasm, "echo": echoWasm})
	n := listenForNotes(t, s, socketFolder(t)+"/notify")
	s.Write("plugins/greet.wasm", greeter(t, "old"))
	s.Start()
	n.next("READY=1", "STATUS=generation 1 serves")
	url := "http://" + s.Addr("web") + "/greet/"
	s.Write("plugins/greet.wasm", greeter(t, "new"))
	s.Reload()
	n.next("RELOADING=1")
	n.next("READY=1", "STATUS=generation 2 serves")
	if body, err := get(url); err != nil || !strings.HasPrefix(body, "new") {
		t.Fatalf("after the reload: %q, %v", body, err)
	}

	dead := 0
	for _, pid := range s.Children() {
		if strings.HasSuffix(apphosttest.CommandLine(pid), "generation 2") && dead < 3 {
			_ = unix.Kill(pid, unix.SIGKILL)
			dead++
		}
	}
	if _, ok := s.WaitLog("serving", func(e map[string]any) bool { return e["generation"] == 3.0 && e["as_generation"] == 1.0 }); !ok {
		t.Fatalf("it does not go back:\n%s", s.Log())
	}
	// Before that, it may hear that children die young.
	for message := ""; !strings.Contains(message, "STATUS=generation 3 serves, as generation 1 did: generation 2 did not prove itself"); {
		message = n.read("the roll back")
	}
	if body, err := get(url); err != nil || !strings.HasPrefix(body, "old") {
		t.Errorf("after the roll back: %q, %v", body, err)
	}
	if r := statusOf(t, s).LastReload; r == nil || r.Generation != 3 || r.RolledBackFrom != 2 || r.RolledBackTo != 1 {
		t.Errorf("the last reload: %+v", r)
	}
	out, _ := s.Run("status", "-c", "config.toml")
	if !strings.Contains(out, "rolled back, generation 3 runs what 1 ran") || !strings.Contains(out, "SIGKILL") {
		t.Errorf("status does not say it:\n%s", out)
	}
	if n := strings.Count(s.Log(), "did not prove itself"); n != 1 {
		t.Errorf("%d lines in the log say it", n)
	}
	s.Reload() // the new plugin is still there, and there was nothing wrong with it
	if body, err := get(url); err != nil || !strings.HasPrefix(body, "new") {
		t.Errorf("after the next reload: %q, %v", body, err)
	}
}
