package host_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

func newServer(t *testing.T, isolation host.Isolation) (*host.Host, *hosttest.Log) {
	t.Helper()
	logger, log := hosttest.Logger()
	p := plugin(t, "server", serverFile)
	p.Isolation = isolation
	h, err := host.New(t.Context(), host.Config{
		Plugins:    []host.Plugin{p},
		Listeners:  []host.Listener{{Name: "raw", Protocol: host.TCP, Plugin: "server"}},
		Generation: 7, Slot: 3, CacheDir: t.TempDir(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, log
}

// A program that accepts its connections has a trap cost it one of them, and ends
// when it likes; the next one finds what it should.
func TestAServerOutlivesWhatItDoes(t *testing.T) {
	check := hosttest.Goroutines(t)
	for isolation, want := range map[host.Isolation]string{host.IsolateConnections: "011101\n", host.IsolateChildren: "022201\n"} {
		h, log := newServer(t, isolation)
		for op, logged := range map[string]string{
			"t": `level=ERROR msg="guest failed" generation=7 slot=3 plugin=server connection=g7-s3-42 error="_start trapped: wasm error: unreachable" stack=`,
			"x": `level=WARN msg="guest reported an error" generation=7 slot=3 plugin=server connection=g7-s3-42 code=9`,
			"r": "",
		} {
			exchange(t, h, "raw", op)
			if got := log.Take(); !strings.HasPrefix(got, logged) || logged == "" && got != "" {
				t.Errorf("%s: logged %q, want %q", op, got, logged)
			}
			if got := exchange(t, h, "raw", "c"); got != "011101\n" {
				t.Errorf("after %s: %q", op, got)
			}
			if got := exchange(t, h, "raw", "c"); got != want {
				t.Errorf("isolation %s: the second connection after %s: %q, want %q", isolation, op, got, want)
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	check()
}

// The worker model serves many connections at once, each with a program of its own
// that is parked between them.
func TestManyServersAtOnce(t *testing.T) {
	check := hosttest.Goroutines(t)
	h, _ := newServer(t, "")
	const clients, rounds = 32, 20
	var all sync.WaitGroup
	begin := make(chan struct{})
	for n := range clients {
		type pair struct {
			host   *hosttest.Conn
			client *net.TCPConn
		}
		var pairs []pair
		for range rounds {
			c, client := hosttest.Pair(t, "raw")
			pairs = append(pairs, pair{c, client})
		}
		op, want := "gcc", "011112\n022222\n"
		if n%8 == 0 {
			op, want = "ct", "011101\n"
		}
		all.Go(func() {
			<-begin
			for _, p := range pairs {
				if _, err := io.WriteString(p.client, op); err != nil {
					t.Error(err)
				}
				if err := p.client.CloseWrite(); err != nil {
					t.Error(err)
				}
				h.ServeConn(t.Context(), p.host)
				_ = p.host.Close()
				if got, err := io.ReadAll(p.client); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", op, got, err)
				}
			}
		})
	}
	close(begin)
	all.Wait()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	check()
}
