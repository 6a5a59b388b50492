package conn

import (
	"testing"

	"github.com/apphost/apphost/host/guest"
)

// Each connection finds the program where it waited for its first one: with its
// memory, of the same size, its globals and its local variables.
func TestAServerFindsItselfAtItsFirstConnection(t *testing.T) {
	p := newPlugin(t, "server", Settings{})
	t.Cleanup(func() { _ = p.Close() })
	for range 3000 {
		for op, want := range map[string]string{
			"c": "011101\n", "ccc": "011101\n022201\n033301\n", "gc": "011112\n", "gggcc": "011114\n022224\n", "dc": "011101\n", "ehello": "hello",
		} {
			if got := serve(t, p, op); got != want {
				t.Fatalf("%s: %q, want %q", op, got, want)
			}
		}
	}
}

func TestAKeptServerGoesOn(t *testing.T) {
	p := newPlugin(t, "server", Settings{Isolation: guest.Kept})
	t.Cleanup(func() { _ = p.Close() })
	for n, op := range []string{"c", "c", "gc", "c"} {
		want := []string{"011101\n", "022201\n", "033312\n", "044422\n"}[n]
		if got := serve(t, p, op); got != want {
			t.Fatalf("%s: %q, want %q", op, got, want)
		}
	}
}
