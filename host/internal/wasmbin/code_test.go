package wasmbin

import (
	"os"
	"testing"
)

func BenchmarkKeepsTables(b *testing.B) {
	wasm, err := os.ReadFile("/tmp/gg/forms.wasm")
	if err != nil {
		b.Skip(err)
	}
	if !KeepsTables(wasm) {
		b.Fatal("no")
	}
	for b.Loop() {
		KeepsTables(wasm)
	}
}
