package conn

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// What a guest drew before its image was taken is the same on each connection; a
// seed that it draws on a connection, as the C header offers, is not.
func TestWhatIsDrawnOnAConnectionIsNew(t *testing.T) {
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	file := filepath.Join(t.TempDir(), "random.wasm")
	out, err := exec.CommandContext(t.Context(), "clang", "--target=wasm32", "-nostdlib", "-O2", "-Wall", "-Werror",
		"-I", "../../../sdk/c", "-Wl,--no-entry", "-o", file, "testdata/random/random.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := guest.NewRuntime(t.Context(), guest.Options{ABIs: []guest.ABI{ABI()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	m, err := r.Load(t.Context(), guest.Source{Name: "random", Wasm: wasm})
	if err != nil {
		t.Fatal(err)
	}
	logger, _ := hosttest.Logger()
	p := New(m, Settings{Logger: logger})
	drawn, own := map[string]bool{}, map[string]bool{}
	const connections = 5
	for range connections {
		got := serve(t, p, "")
		if len(got) != 8 {
			t.Fatalf("got %q", got)
		}
		drawn[got[:4]], own[got[4:]] = true, true
	}
	if len(drawn) != 1 || len(own) != connections {
		t.Errorf("%d numbers before and %d on %d connections", len(drawn), len(own), connections)
	}
}
