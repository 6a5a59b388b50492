package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A plugin that runs without end loses its child, and everybody else is served.
func TestE2EAPluginThatNeverReturnsLosesItsChild(t *testing.T) {
	for model, settings := range map[string]string{
		"prefork": "[mpm]\ncandidate_timeout = \"60s\"\n",
		"worker":  "[mpm]\ncandidate_timeout = \"60s\"\nmodel = \"worker\"\nthreads_per_child = 4\n",
	} {
		t.Run(model, func(t *testing.T) {
			config := strings.Replace(plain, "[mpm]\ncandidate_timeout = \"60s\"\n", settings, 1)
			s := apphosttest.Start(t, config+"[plugin.spin]\ncpu_timeout = \"300ms\"\n",
				map[string]string{"spin": "testdata/spin.wasm", "echo": echoWasm})
			url := "http://" + s.Addr("web") + "/spin/"
			before := s.Children()
			begun := time.Now()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: apphosttest.Patience}
			res, err := client.Post(url, "text/plain", strings.NewReader("x")) // four letters
			if err == nil {
				_ = res.Body.Close()
				t.Fatalf("it answers %s", res.Status)
			}
			if took := time.Since(begun); took < 300*time.Millisecond || took > 10*time.Second {
				t.Errorf("its client waited for %s", took)
			}
			line, ok := s.WaitLog("a plugin runs without end; killing its child", nil)
			if !ok || line["plugin"] != "spin" || line["cpu_timeout"] != "300ms" || line["last_host_call"] != "get_method" || !strings.Contains(line["request"].(string), "POST /spin/") {
				t.Errorf("the log says %v", line)
			}
			if st := statusOf(t, s); st.Overruns != 1 {
				t.Errorf("%d overruns in the status", st.Overruns)
			}
			for range 20 {
				if got, err := get(url); err != nil || got != "fine" {
					t.Fatalf("afterwards: %q, %v", got, err)
				}
			}
			apphosttest.Eventually(t, apphosttest.Patience, "one child is another", func() bool {
				now, same := s.Children(), 0
				for _, pid := range now {
					for _, old := range before {
						if pid == old {
							same++
						}
					}
				}
				return same == len(before)-1
			})
		})
	}
}

// A TCP plugin that waits for its client is not blamed for that; one that loops
// is found.
func TestE2EATCPPluginThatLoopsLosesItsChild(t *testing.T) {
	s := apphosttest.Start(t, plain+"[plugin.echo]\ncpu_timeout = \"300ms\"\n",
		map[string]string{"hello": helloWasm, "echo": "testdata/spin_tcp.wasm"})
	roundTrip, hangUp := hold(t, s.Addr("echo"))
	defer hangUp()
	conn, err := net.Dial("tcp", s.Addr("echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	line, ok := s.WaitLog("a plugin runs without end; killing its child", nil)
	if !ok || line["plugin"] != "echo" || line["client"] != conn.LocalAddr().String() || line["last_host_call"] != "conn_read" {
		t.Errorf("the log says %v", line)
	}
	// The other one has waited for its client all the time.
	if err := roundTrip(); err != nil {
		t.Errorf("a connection that waits: %v", err)
	}
}
