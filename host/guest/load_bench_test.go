package guest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/host/guest"
)

// BenchmarkLoad is what a child does before it can make an instance, with a warm
// cache.
func BenchmarkLoad(b *testing.B) {
	small := wasm(b, "run")
	b.Run("C", func(b *testing.B) { benchmarkLoad(b, small) })
	b.Run("Go", func(b *testing.B) { benchmarkLoad(b, benchGuest(b, goVisit(b))) })
}

func benchmarkLoad(b *testing.B, wasm []byte) {
	dir := filepath.Join(b.TempDir(), "cache")
	load := func(keeper bool) {
		r, err := guest.NewRuntime(b.Context(), guest.Options{CacheDir: dir, KeepCache: keeper, ABIs: abis()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Load(b.Context(), guest.Source{Name: "load", Wasm: wasm}); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	load(true)
	for b.Loop() {
		load(false)
	}
}
