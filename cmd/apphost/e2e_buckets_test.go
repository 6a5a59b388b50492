package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// Connections come without pause over ten reloads with buckets, and over
// changes from one bucket to several and back: none may fail, on a system where
// closing a listener of several costs whoever waits there.
func TestE2EBucketsUnderLoadLoseNothing(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one core is one bucket; see TestBucketsChangeUnderLoadAndLoseNothing")
	}
	migrate, err := os.ReadFile("/proc/sys/net/ipv4/tcp_migrate_req")
	t.Logf("net.ipv4.tcp_migrate_req is %s (%v)", strings.TrimSpace(string(migrate)), err)
	s := startPlain(t)
	l := startLoad(t, s, 200)
	for i, ratio := range []int{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1} {
		s.Configure(strings.Replace(plain, "[mpm]", fmt.Sprintf("[mpm]\nlisten_cores_buckets_ratio = %d", ratio), 1))
		s.Write("plugins/hello.wasm", greeter(t, fmt.Sprintf("reload %d", i)))
		s.Reload()
		for range 3 {
			if body, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || !strings.Contains(body, fmt.Sprintf("reload %d.", i)) {
				t.Fatalf("after reload %d: %q, %v", i, body, err)
			}
		}
		status := statusOf(t, s)
		want := 1
		if ratio > 0 {
			want = runtime.NumCPU() / ratio
		}
		if status.Buckets != want {
			t.Errorf("ratio %d: %d buckets, want %d", ratio, status.Buckets, want)
		}
		out, _ := s.Run("status", "-c", "config.toml")
		if shown := strings.Contains(out, "BUCKET"); shown != (want > 1) && len(status.Generations) == 1 {
			t.Errorf("the table with %d buckets:\n%s", want, out)
		}
	}
	l.wantNone(400)
}
