package main

import (
	"runtime"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// Builds that agree on nothing but the contract of an upgrade can follow each
// other, in both directions.
func TestE2EAnUpgradeNeedsNoCommonLayout(t *testing.T) {
	for name, other := range map[string]string{
		"scoreboard": apphosttest.Variant(t, "mpm/scoreboard/layout.go", "\tversion = ", "\tversion = 200 + "),
		"image":      apphosttest.Variant(t, "mpm/image/image.go", `const magic = "apphost\x01"`, `const magic = "apphost\x02"`),
		"handshake":  apphosttest.Variant(t, "mpm/prefork/handshake.go", `const handshakeVersion = "`, `const handshakeVersion = "other `),
	} {
		t.Run(name, func(t *testing.T) {
			s := startOwn(t, plain)
			l := startLoad(t, s, 100)
			roundTrip, hangUp := hold(t, s.Addr("echo"))
			for range 2 {
				upgradeTo(t, s, other, version)
				upgradeTo(t, s, s.Dir+"/apphost", version)
			}
			if err := roundTrip(); err != nil {
				t.Errorf("a connection over four upgrades: %v", err)
			}
			l.wantNone(10)
			hangUp()
			s.Reload()
			apphosttest.Eventually(t, apphosttest.Patience, "the master and five children", func() bool { return len(s.Processes()) == 6 })
		})
	}
}

// A program that crashes as soon as it is the master ends the server, and its
// children finish what they serve.
func TestE2EASuccessorThatCrashesCostsNoConnection(t *testing.T) {
	s := startOwn(t, plain)
	crashes := apphosttest.Variant(t, "cmd/apphost/upgrade.go", "err = resumeMaster(t)", `panic("BUG: none")`)
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	out, code := s.Run("upgrade", "-c", "config.toml", "--binary", crashes)
	if code != 1 || !strings.Contains(out, "went away before it answered") {
		t.Errorf("exit status %d: %s", code, out)
	}
	if err := s.Wait(); err == nil {
		t.Error("the server ended well")
	}
	apphosttest.Eventually(t, promptly, "idle children leave", func() bool { return len(s.Processes()) == 1 })
	if err := roundTrip(); err != nil {
		t.Errorf("the crash ended a connection: %v", err)
	}
	hangUp()
	apphosttest.Eventually(t, promptly, "the last child leaves", func() bool { return len(s.Processes()) == 0 })
	s.Start()
	s.Reload()
}

// Buckets, and clients who wait in one that the next generation does without,
// go over with the listeners.
func TestE2EAnUpgradeKeepsBuckets(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one core is one bucket")
	}
	several := strings.Replace(plain, "[mpm]", "[mpm]\nlisten_cores_buckets_ratio = 1", 1)
	s := startOwn(t, several)
	l := startLoad(t, s, 200)
	for i := range 4 {
		config, want := several, runtime.NumCPU()
		if i%2 == 1 {
			config, want = plain, 1
		}
		s.Configure(config)
		upgradeTo(t, s, s.Dir+"/apphost", version)
		if got := statusOf(t, s).Buckets; got != want {
			t.Errorf("%d buckets after upgrade %d, want %d", got, i+1, want)
		}
	}
	l.wantNone(200)
}
