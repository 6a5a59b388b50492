package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// Of a hundred requests ten trap, and one each runs, takes memory and calls itself
// without end. All others are answered, but for those that share a child with one
// that runs without end.
func TestE2EChaos(t *testing.T) {
	const threads, clients = 8, 64
	for model, settings := range map[string]string{
		"prefork": "start_servers = 16\nmax_request_workers = 80\nserver_limit = 160\n",
		"worker":  fmt.Sprintf("model = \"worker\"\nthreads_per_child = %d\nstart_servers = 4\nmax_request_workers = 128\n", threads),
	} {
		t.Run(model, func(t *testing.T) {
			s := apphosttest.Start(t, strings.Replace(plain, "[mpm]\n", "[mpm]\n"+settings, 1)+
				"[plugin.chaos]\nmemory_limit = \"2MiB\"\ncpu_timeout = \"500ms\"\n",
				map[string]string{"chaos": "testdata/chaos.wasm", "echo": echoWasm})
			c := newChaos(t, s.Addr("web"))
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			over := time.Now().Add(sized(3*time.Second, time.Minute))
			var group sync.WaitGroup
			for i := range clients {
				group.Go(func() { c.client(rand.New(rand.NewPCG(seed, uint64(i))), over) })
			}
			memory := watchMemory(t, s, over)
			group.Wait()

			status := statusOf(t, s)
			c.report(t, status.Overruns, memory)
			shared := uint64(0)
			if model == "worker" {
				shared = status.Overruns * (threads - 1)
			}
			if lost := uint64(c.lost["fine"]); lost > shared {
				t.Errorf("%d good requests were lost, want %d at most", lost, shared)
			}
			// In three seconds it is chance how many recurse at a time.
			if half := len(memory) / 2; *soak && float64(slices.Max(memory[half:])) > 1.5*float64(slices.Max(memory[:half]))+32<<20 {
				t.Errorf("memory grew from %d to %d MiB", slices.Max(memory[:half])>>20, slices.Max(memory[half:])>>20)
			}
			apphosttest.Eventually(t, apphosttest.Patience, "no child is busy", func() bool { return statusOf(t, s).Busy == 0 })
			apphosttest.Eventually(t, apphosttest.Patience, "what guests took is given back", func() bool {
				return residentOf(s.Processes()) < int64(len(s.Children())+1)*restBytesMax
			})
			if got, err := get("http://" + s.Addr("web") + "/chaos/"); err != nil || got != "fine" {
				t.Errorf("afterwards: %q, %v", got, err)
			}
		})
	}
}

// chaos is what came of all requests, by kind.
type chaos struct {
	t    *testing.T
	addr string

	mu             sync.Mutex
	answered, lost map[string]int
	took           []time.Duration // the good ones
}

func newChaos(t *testing.T, addr string) *chaos {
	return &chaos{t: t, addr: addr, answered: map[string]int{}, lost: map[string]int{}}
}

// client sends requests over one connection after the other.
func (c *chaos) client(random *rand.Rand, over time.Time) {
	var conn net.Conn
	var in *bufio.Reader
	hangUp := func() {
		if conn != nil {
			_ = conn.Close()
			conn = nil
		}
	}
	defer hangUp()
	for time.Now().Before(over) {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", c.addr); err != nil {
				c.t.Errorf("connect: %v", err)
				return
			}
			in = bufio.NewReader(conn)
		}
		kind, letter, want := pick(random)
		begun := time.Now()
		_ = conn.SetDeadline(begun.Add(apphosttest.Patience))
		status, last, err := exchange(conn, in, letter)
		c.note(kind, time.Since(begun), err)
		if err == nil && status != want {
			c.t.Errorf("%s is answered %d, want %d", kind, status, want)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Errorf("%s is not answered in %s", kind, apphosttest.Patience)
		}
		if err != nil || last {
			hangUp()
		}
	}
}

// pick is what a request does, the letter that asks for that, and how it is
// answered, if it is.
func pick(random *rand.Rand) (kind, letter string, status int) {
	switch n := random.IntN(100); {
	case n < 10:
		return "trap", "t", http.StatusInternalServerError
	case n == 10:
		return "loop", "s", 0
	case n == 11:
		return "memory", "m", http.StatusInternalServerError
	case n == 12:
		return "recursion", "r", http.StatusInternalServerError
	}
	return "fine", "", http.StatusOK
}

func exchange(conn net.Conn, in *bufio.Reader, letter string) (status int, last bool, err error) {
	if _, err := fmt.Fprintf(conn, "GET /chaos/?%s HTTP/1.1\r\nHost: h\r\n\r\n", letter); err != nil {
		return 0, false, err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Close, err
}

func (c *chaos) note(kind string, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lost[kind]++
		return
	}
	c.answered[kind]++
	if kind == "fine" {
		c.took = append(c.took, took)
	}
}

func (c *chaos) report(t *testing.T, overruns uint64, memory []int64) {
	t.Helper()
	slices.Sort(c.took)
	for _, kind := range []string{"trap", "loop", "memory", "recursion", "fine"} {
		if c.answered[kind]+c.lost[kind] == 0 {
			t.Errorf("no request of the kind %q", kind)
		}
	}
	if len(c.took) == 0 {
		t.Fatal("no good request was answered")
	}
	t.Logf("answered %v, lost %v; %d children killed; good ones: median %s, p99 %s, slowest %s; %d to %d MiB",
		c.answered, c.lost, overruns, c.took[len(c.took)/2], c.took[len(c.took)*99/100], c.took[len(c.took)-1],
		slices.Min(memory)>>20, slices.Max(memory)>>20)
}

// watchMemory is how many bytes all processes of the server have resident, ten times
// a second until it is over.
func watchMemory(t *testing.T, s *apphosttest.Server, over time.Time) (bytes []int64) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(over) {
		<-tick.C
		bytes = append(bytes, residentOf(s.Processes()))
	}
	return bytes
}

// restBytesMax is what a process may have resident after it all, on average; one that
// has recursed to its end has some 300 MiB then.
const restBytesMax = 64 << 20

// residentOf is how many bytes processes have resident.
func residentOf(pids []int) (bytes int64) {
	for _, pid := range pids {
		var size, resident int64
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if _, scanErr := fmt.Sscan(string(raw), &size, &resident); err == nil && scanErr == nil {
			bytes += resident * int64(os.Getpagesize())
		}
	}
	return bytes
}
