//go:build !wasip1

package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A client that is not ours understands the answers. The server's code runs
// natively here.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("dig is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := server{zone: mustParse(t, testZone), idleTimeout: time.Minute, stopping: func() bool { return false }}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			go func() {
				defer func() { _ = c.Close() }()
				if err := s.serve(c); err != nil {
					t.Errorf("serve: %v", err)
				}
			}()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		query string
		want  []string // parts of what dig prints
	}{
		{"www.example.org A +short", []string{"web.example.org.\n192.0.2.10\n192.0.2.11\n"}},
		{"mail.example.org AAAA +short", []string{"2001:db8::2\n"}},
		{"example.org MX +short", []string{"10 mail.example.org.\n"}},
		{"example.org TXT +short", []string{`"v=spf1 mx -all" "second \"string\""` + "\n"}},
		{"example.org SOA +short", []string{"ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 300\n"}},
		{"nope.example.org A", []string{"status: NXDOMAIN", "flags: qr aa rd;", "example.org.\t\t300\tIN\tSOA"}},
		{"example.net A", []string{"status: REFUSED"}},
		{"example.org AXFR", []string{"Transfer failed."}},
		{"example.org A +ednsopt=65001:00 +edns=1 +noednsnegotiation", []string{"status: BADVERS"}},
		{"example.org A +opcode=notify", []string{"status: NOTIMP"}},
		{"ns1.example.org A +short web.example.org A +short +keepopen", []string{"192.0.2.1\n192.0.2.10\n192.0.2.11\n"}},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			args := append([]string{"@127.0.0.1", "-p", port, "+tcp", "+time=5", "+tries=1"}, strings.Fields(test.query)...)
			out, err := exec.CommandContext(t.Context(), dig, args...).CombinedOutput()
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("dig %s: %v\n%s\nwant %q in it", strings.Join(args, " "), err, out, want)
				}
			}
		})
	}
}
