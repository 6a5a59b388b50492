//go:build !wasip1

package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// A client that is not ours understands the answers.
func servedDig(t *testing.T, s *apphosttest.Server) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("dig is not installed")
	}
	_, port, err := net.SplitHostPort(s.Addr("dns"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		query string
		want  []string // parts of what dig prints
	}{
		{"web.example.org A +short", []string{"192.0.2.10\n192.0.2.11\n"}},
		{"www.example.org A +short", []string{"web.example.org.\n192.0.2.10\n192.0.2.11\n"}},
		{"www.example.org CNAME +short", []string{"web.example.org.\n"}},
		{"mail.example.org AAAA +short", []string{"2001:db8::2\n"}},
		{"example.org MX", []string{"MX\t10 mail.example.org.", "mail.example.org.\t300\tIN\tA\t192.0.2.2"}},
		{"example.org TXT +short", []string{`"v=spf1 mx -all" "second \"string\""` + "\n"}},
		{"example.org NS +short", []string{"ns1.example.org.\nns.elsewhere.net.\n"}},
		{"example.org SOA +short", []string{"ns1.example.org. hostmaster.example.org. 2026010101 7200 900 1209600 300\n"}},
		{"nope.example.org A", []string{"status: NXDOMAIN", "flags: qr aa rd;", "example.org.\t\t300\tIN\tSOA"}},
		{"example.net A", []string{"status: REFUSED"}},
		{"example.org AXFR", []string{"Transfer failed."}},
		{"example.org A +ednsopt=65001:00 +edns=1 +noednsnegotiation", []string{"status: BADVERS"}},
		{"example.org A +opcode=notify", []string{"status: NOTIMP"}},
		{"+keepopen ns1.example.org A +short web.example.org A +short", []string{"192.0.2.1\n192.0.2.10\n192.0.2.11\n"}},
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
