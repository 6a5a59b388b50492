package guest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// BenchmarkFreshness is a run of an instance and making it fresh for the next
// run: by putting its image back, or by another instance, of a small guest in C
// and of one in Go with 3 MiB of memory. The median is reported besides the mean,
// for a garbage collection takes longer than many runs. bench/compare reads it.
func BenchmarkFreshness(b *testing.B) {
	guests := map[string][]byte{"c": benchGuest(b, "../../bench/guests/visit.wasm"), "go": benchGuest(b, goVisit(b))}
	for _, name := range []string{"c", "go"} {
		b.Run(name+"/reset", func(b *testing.B) { benchmarkRuns(b, name, guests[name], guest.Fresh) })
		b.Run(name+"/new", func(b *testing.B) { benchmarkRuns(b, name, guests[name], guest.Own) })
	}
}

func benchmarkRuns(b *testing.B, name string, wasm []byte, isolation guest.Isolation) {
	m, err := newRuntime(b, "").Load(b.Context(), guest.Source{Name: name, Wasm: wasm, MemoryLimitBytes: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	pool := guest.NewPool(m, initialize, isolation)
	b.Cleanup(func() {
		if err := pool.Close(); err != nil {
			b.Error(err)
		}
	})
	s := &session{Context: context.Background()}
	stack := []uint64{0}
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		i := get(b, pool, s)
		if err := i.Call(s, abi.ProcessConnection, stack); err != nil || uint32(stack[0]) != 0 {
			b.Fatalf("visit %d, %v; each has to be the first", stack[0], err)
		}
		pool.Put(i, guest.Returned)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "ns/median")
}

// goVisit builds the guest in Go.
func goVisit(b *testing.B) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "visit.wasm")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-buildmode=c-shared", "-o", file, "./bench/guests/visit")
	cmd.Dir = "../.."
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return file
}

func benchGuest(b *testing.B, file string) []byte {
	b.Helper()
	wasm, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}
