package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// accessLine is a line of the access log as JSON.
type accessLine struct {
	ID, Remote, URI, Protocol, Plugin string
	Status                            int
	Generation                        int
}

// accessLines reads the access log, and all that it was before.
func accessLines(t *testing.T, path string) (lines []accessLine) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(string(text)) {
			var l accessLine
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatalf("%s: %v: %q", file, err, text)
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// logged is plain with an access log.
func logged(access string) string {
	return "[log]\naccess = \"" + access + "\"\naccess_format = \"json\"\n" + plain
}

func startLogged(t *testing.T, access string) *apphosttest.Server {
	t.Helper()
	return apphosttest.Start(t, logged(access), map[string]string{"hello": helloWasm, "echo": echoWasm})
}

// Each request has its line once, whatever file there was at the time, and
// whichever child served it.
func TestE2EReopeningTheAccessLogLosesNoLine(t *testing.T) {
	s := startLogged(t, "access.log")
	log := filepath.Join(s.Dir, "access.log")
	var stop atomic.Bool
	var clients sync.WaitGroup
	var sent atomic.Int64
	for range 4 {
		clients.Go(func() {
			client := &http.Client{Timeout: apphosttest.Patience, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !stop.Load() {
				res, err := client.Get(fmt.Sprintf("http://%s/hello/?%d", s.Addr("web"), sent.Add(1)))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	sizes := map[string]int64{}
	for i := range 10 {
		apphosttest.Eventually(t, apphosttest.Patience, "the log is written to", func() bool {
			info, err := os.Stat(log)
			return err == nil && info.Size() > 0
		})
		old := fmt.Sprintf("%s.%d", log, i)
		rename(t, log, old)
		if i == 5 {
			s.Reload()
		}
		wantRun(t, s, 0, "log files reopened\n", "logs", "reopen")
		info, err := os.Stat(old)
		if err != nil {
			t.Fatal(err)
		}
		sizes[old] = info.Size()
	}
	stop.Store(true)
	clients.Wait()
	for old, size := range sizes {
		if info, err := os.Stat(old); err != nil || info.Size() != size {
			t.Errorf("%s was written to after it was done with: %v, %v", old, info, err)
		}
	}
	// A line is written after its response.
	apphosttest.Eventually(t, apphosttest.Patience, "the last lines are there", func() bool {
		return int64(len(accessLines(t, log))) >= sent.Load()
	})
	seen, ids, generations := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for _, l := range accessLines(t, log) {
		if seen[l.URI] || ids[l.ID] || l.Status != 200 || l.Plugin != "hello" {
			t.Errorf("twice, or wrong: %+v", l)
		}
		seen[l.URI], ids[l.ID], generations[l.Generation] = true, true, true
	}
	if int64(len(seen)) != sent.Load() || len(generations) != 2 {
		t.Errorf("%d lines for %d requests, of generations %v", len(seen), sent.Load(), generations)
	}
}

func TestE2EAccessLogOnStandardError(t *testing.T) {
	s := startLogged(t, "stderr")
	if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
		t.Fatal(err)
	}
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"uri":"/hello/","protocol":"HTTP/1.1","status":200`, `"protocol":"tcp","sent_bytes":4`} {
		apphosttest.Eventually(t, apphosttest.Patience, "the log has "+want, func() bool { return strings.Contains(s.Log(), want) })
	}
}

// A server without room for its log, or whose reader is gone, serves, and says
// once in each child that lines are lost.
func TestE2ELostAccessLinesCostNoRequest(t *testing.T) {
	config := strings.Replace(logged("/dev/full"), "[mpm]", "[mpm]\nstart_servers = 1\nmin_spare_servers = 1\nmax_spare_servers = 2\nmax_request_workers = 1", 1)
	s := apphosttest.Start(t, config, map[string]string{"hello": helloWasm, "echo": echoWasm})
	const requests = 10
	for range requests {
		if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.WaitLog("lines of the access log are lost", nil); !ok {
		t.Fatalf("it does not say so:\n%s", s.Log())
	}
	s.Configure(strings.Replace(config, "/dev/full", "access.log", 1))
	s.Reload()
	if _, err := get("http://" + s.Addr("web") + "/hello/"); err != nil {
		t.Fatal(err)
	}
	written := func() bool { return len(accessLines(t, filepath.Join(s.Dir, "access.log"))) > 0 }
	apphosttest.Eventually(t, apphosttest.Patience, "the line of a response that was sent", written)
	s.Stop()
	if n := strings.Count(s.Log(), "lines of the access log are lost"); n != 1 {
		t.Errorf("said %d times:\n%s", n, s.Log())
	}
	if lines := accessLines(t, filepath.Join(s.Dir, "access.log")); len(lines) != 1 {
		t.Errorf("%d lines in the file of after the reload", len(lines))
	}
}

// Nobody waits for whoever reads the log from a pipe.
func TestE2EAPausedReaderOfTheAccessLogStopsNothing(t *testing.T) {
	s := apphosttest.New(t, logged("stdout"), map[string]string{"hello": helloWasm, "echo": echoWasm})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := s.Command("-c", "config.toml")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	defer func() {
		if _, code := s.Run("-k", "stop", "-c", "config.toml"); code != 0 {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
	}()
	var addr string
	apphosttest.Eventually(t, apphosttest.Patience, "it serves", func() bool {
		out, code := s.Run("status", "--json", "-c", "config.toml")
		var st struct {
			Listeners []struct{ Name, Address string }
		}
		if code != 0 || json.Unmarshal([]byte(out), &st) != nil || len(st.Listeners) == 0 {
			return false
		}
		addr = st.Listeners[0].Address
		return true
	})
	client := &http.Client{Timeout: apphosttest.Patience}
	defer client.CloseIdleConnections()
	long := strings.Repeat("x", 1000)
	for range 300 { // a pipe holds 64 KiB
		res, err := client.Get("http://" + addr + "/hello/?" + long)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	_ = r.Close() // now the pipe is broken
	for range 20 {
		if _, err := get("http://" + addr + "/hello/"); err != nil {
			t.Fatal(err)
		}
	}
}
