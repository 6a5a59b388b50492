package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A guest that calls the host for ever is without end like one that calls nobody,
// once there is nothing left that its calls could wait for. (One that writes to a
// client that has gone is stopped before that.)
func TestE2EAGuestWhoseCallsCannotWaitLosesItsChild(t *testing.T) {
	config, plugins := plain, map[string]string{
		"echo": echoWasm, "calls_on_tcp": "testdata/calls_on_tcp.wasm", "reads_on_http": "testdata/reads_on_http.wasm",
		"writes_on_http": "testdata/writes_on_http.wasm", "flushes_on_http": "testdata/flushes_on_http.wasm",
		"reads_on": "testdata/reads_on.wasm", "reads_on_tcp": "testdata/reads_on.wasm", "writes_on": "testdata/writes_on.wasm",
		"polls_on": "testdata/polls_on.wasm",
	}
	wasm, err := os.ReadFile(plugins["writes_on"])
	if err != nil {
		t.Fatal(err)
	}
	plugins["writes_wrong"] = filepath.Join(t.TempDir(), "writes_wrong.wasm")
	if err := os.WriteFile(plugins["writes_wrong"], bytes.Replace(wasm, []byte("A: b"), []byte("A; b"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("some bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tcp := range []string{"calls_on_tcp", "reads_on_tcp", "polls_on"} {
		config += fmt.Sprintf("[[listen]]\nname = %q\naddress = \"127.0.0.1:0\"\nprotocol = \"tcp\"\nplugin = %q\n", tcp, tcp)
	}
	for name := range plugins {
		config += fmt.Sprintf("[plugin.%s]\ncpu_timeout = \"300ms\"\n", name)
		if name == "polls_on" {
			config += fmt.Sprintf("dirs = [{ host = %q, guest = \"/\" }]\n", folder)
		}
	}
	s := apphosttest.Start(t, config, plugins)
	const request = "%s /%s/ HTTP/1.1\r\nHost: a\r\n\r\n"
	for i, tc := range []struct {
		name, listener, plugin string
		send                   string
		end                    func(*net.TCPConn) error
	}{
		{"a body's end", "web", "reads_on", fmt.Sprintf(request, "GET", "reads_on"), nil},
		{"a body's end, by http-wasm", "web", "reads_on_http", fmt.Sprintf(request, "GET", "reads_on_http"), nil},
		{"an answer that is none", "web", "writes_wrong", fmt.Sprintf(request, "GET", "writes_wrong"), nil},
		{"an answer without a body", "web", "writes_on", fmt.Sprintf(request, "HEAD", "writes_on"), nil},
		{"an answer without a body, by http-wasm", "web", "writes_on_http", fmt.Sprintf(request, "HEAD", "writes_on_http"), nil},
		{"a connection's end", "reads_on_tcp", "reads_on_tcp", "", (*net.TCPConn).CloseWrite},
		{"a connection's end, by conn", "calls_on_tcp", "calls_on_tcp", "r", (*net.TCPConn).CloseWrite},
		{"a question", "calls_on_tcp", "calls_on_tcp", "s", nil},
		{"a write of nothing", "calls_on_tcp", "calls_on_tcp", "z", nil},
		{"a write of nothing, by http-wasm", "web", "flushes_on_http", fmt.Sprintf(request, "GET", "flushes_on_http"), nil},
		{"a write from nowhere", "calls_on_tcp", "calls_on_tcp", "p", nil},
		{"a write of too much", "calls_on_tcp", "calls_on_tcp", "l", nil},
		{"a read to nowhere", "calls_on_tcp", "calls_on_tcp", "b", nil},
		{"a sleep of no length", "polls_on", "polls_on", "n", nil},
		{"a read of a file that is none", "polls_on", "polls_on", "b", nil},
		{"a read at a file's end", "polls_on", "polls_on", "e", nil},
		{"a question to a disk", "polls_on", "polls_on", "s", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Addr(tc.listener))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, tc.send); err != nil {
				t.Fatal(err)
			}
			if tc.end != nil {
				if err := tc.end(conn.(*net.TCPConn)); err != nil {
					t.Fatal(err)
				}
			}
			client := conn.LocalAddr().String()
			line, ok := s.WaitLog("a plugin runs without end; killing its child", func(e map[string]any) bool { return e["client"] == client })
			if !ok || line["plugin"] != tc.plugin {
				t.Errorf("the log says %v", line)
			}
			if st := statusOf(t, s); st.Overruns != uint64(i+1) {
				t.Errorf("%d overruns in the status, want %d", st.Overruns, i+1)
			}
		})
	}
	if err := echo(s.Addr("echo"), strings.Repeat("fine", 100)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
