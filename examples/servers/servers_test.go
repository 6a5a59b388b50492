package servers_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
	"github.com/apphost/apphost/sdk/abi"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

func TestServed(t *testing.T) {
	plugins := map[string]string{
		"visits": buildtest.WASIClang(t, "visits", 64<<10), "primes": buildtest.Go(t, "primes", abi.ConnModule, 3500<<10),
		"pages": buildtest.Go(t, "pages", abi.ConnModule, 10<<20),
	}
	s := buildtest.Serve(t, plugins)
	t.Run("README", func(t *testing.T) { buildtest.Try(t, s) })
	t.Run("each is the first", func(t *testing.T) { eachIsTheFirst(t, s) })
	t.Run("primes", func(t *testing.T) { primes(t, s) })
	t.Run("pages", func(t *testing.T) { pages(t, s) })
	t.Run("child", func(t *testing.T) { oneAfterTheOther(t, plugins) })
}

// Many clients, of which each is told that it is the first.
func eachIsTheFirst(t *testing.T, s *apphosttest.Server) {
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for round := range 25 {
				name := fmt.Sprintf("client %d-%d", n, round)
				want := fmt.Sprintf("Hello %s. You are number 1; before you came nobody.\n", name)
				if got := ask(t, s.Addr("visits"), name+"\n"); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	all.Wait()
}

// primes answers any number of questions on a connection, and on many.
func primes(t *testing.T, s *apphosttest.Server) {
	for range 20 {
		got := ask(t, s.Addr("primes"), "2\n9\n1000000\n1000001\nx\n104729\n")
		want := "2 is prime\n9 is not prime\n1000000 is not prime\n" +
			"\"1000001\" is not a number from 0 to 1000000\n\"x\" is not a number from 0 to 1000000\n104729 is prime\n"
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// pages counts the requests of each connection.
func pages(t *testing.T, s *apphosttest.Server) {
	for range 5 {
		client := &http.Client{Transport: new(http.Transport), Timeout: apphosttest.Patience}
		for n := range 3 {
			res, err := client.Get("http://" + s.Addr("pages") + "/a")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if want := fmt.Sprintf("/a is request %d of your connection.\n", n+1); err != nil || string(body) != want {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		}
		client.CloseIdleConnections()
	}
}

// With isolation = "child" the loop goes on, in the one child that there is.
func oneAfterTheOther(t *testing.T, plugins map[string]string) {
	one := strings.NewReplacer("\nstart_servers = 5", "\nstart_servers = 1", "\nmin_spare_servers = 5", "\nmin_spare_servers = 1",
		"\nmax_spare_servers = 10", "\nmax_spare_servers = 2", "\nmax_request_workers = 256", "\nmax_request_workers = 1")
	s := buildtest.New(t, one.Replace(buildtest.Config(t))+"[plugin.visits]\nisolation = \"child\"\n", plugins)
	s.Start()
	last := "nobody"
	for n := range 5 {
		name := fmt.Sprintf("client %d", n)
		want := fmt.Sprintf("Hello %s. You are number %d; before you came %s.\n", name, n+1, last)
		if got := ask(t, s.Addr("visits"), name+"\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		last = name
	}
}

// ask sends all of question, and returns what comes back until the end.
func ask(t *testing.T, address, question string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = c.Close() }()
	c.SetDeadline(time.Now().Add(apphosttest.Patience))
	if _, err := io.WriteString(c, question); err != nil {
		t.Error(err)
	}
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(answer)
}
