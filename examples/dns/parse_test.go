package main

import (
	"strings"
	"testing"
)

const head = "@ SOA ns1 h 1 2h 15m 2w 5m\n@ NS ns1\n"

// Every fault is reported, with its line.
func TestZoneFaults(t *testing.T) {
	tests := []struct{ name, zone, want string }{
		{"empty", "", "zone: no SOA record at example.org.\nzone: no NS record at example.org."},
		{"two faults", "a A 1.2.3\nb MX x mail\n", "zone line 1: A: want an IPv4 address, got \"1.2.3\"\nzone line 2: MX: want a preference from 0 to 65535, got \"x\""},
		{"IPv6", head + "a AAAA 192.0.2.1", `zone line 3: AAAA: want an IPv6 address, got "192.0.2.1"`},
		{"too few values", head + "a MX 10", "zone line 3: MX: want 2 values, got 1"},
		{"no text", head + "a TXT", "zone line 3: TXT: want at least one value, got 0"},
		{"unknown type", head + "a SRV 1 2 3 x", `zone line 3: record type "SRV" is not known; A, AAAA, CNAME, MX, NS, SOA and TXT are`},
		{"no type", head + "a IN 300", "zone line 3: the record has no type"},
		{"no owner", "  A 192.0.2.1", "zone line 1: the first record has no owner (the line is indented)"},
		{"outside", head + "a.example.net. A 192.0.2.1", "zone line 3: a.example.net. is outside the zone example.org."},
		{"unknown directive", "$INCLUDE x", "zone line 1: $INCLUDE: not known; $ORIGIN and $TTL are"},
		{"bad TTL", "$TTL 1y", `zone line 1: $TTL: want a time such as 3600 or 1h30m, up to 2147483647 seconds, got "1y"`},
		{"long TTL", "$TTL 9999w", `zone line 1: $TTL: want a time such as 3600 or 1h30m, up to 2147483647 seconds, got "9999w"`},
		{"open parenthesis", head + "a TXT ( x\n y", "zone line 3: a parenthesis is not closed"},
		{"closed parenthesis", head + "a TXT x )", "zone line 3: a parenthesis is closed that was not opened"},
		{"open quote", head + `a TXT "x`, "zone line 3: a quote is not closed on its line"},
		{"bad byte", head + `a TXT "\256"`, `zone line 3: want a byte from \000 to \255, got \256`},
		{"long text", head + "a TXT " + strings.Repeat("x", 256), "zone line 3: TXT: a text of 256 bytes; one may have 255: split it into several"},
		{"second SOA", head + head, "zone line 3: a second SOA"},
		{"SOA elsewhere", "a SOA ns1 h 1 1 1 1 1", "zone line 1: the SOA is at a.example.org., want it at example.org."},
		{"alias with others", head + "a CNAME b\na A 192.0.2.1", "zone line 3: a.example.org. has a CNAME, so it can have no other record"},
		{"empty label", head + "a..b A 192.0.2.1", "zone line 3: name a..b.example.org.: want labels of 1 to 63 bytes without a backslash"},
		{"long label", head + "a CNAME " + strings.Repeat("x", 64), "zone line 3: CNAME: name " + strings.Repeat("x", 64) + ".example.org.: want labels of 1 to 63 bytes without a backslash"},
		{"long name", head + strings.Repeat("x.", 125) + "x A 192.0.2.1", "zone line 3: name " + strings.Repeat("x.", 125) + "x.example.org.: longer than 254 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseZone("example.org.", test.zone)
			if err == nil {
				t.Fatalf("want the fault %q", test.want)
			}
			if got := err.Error(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestConfigure(t *testing.T) {
	tests := []struct {
		name   string
		config map[string]string
		want   string
	}{
		{"nothing", nil, `config: set origin (such as "example.org.") and zone (its records)`},
		{"bad origin", map[string]string{"origin": "a..b", "zone": head}, "config: origin: name a..b.: want labels of 1 to 63 bytes without a backslash"},
		{"bad zone", map[string]string{"origin": "x.", "zone": "(\n"}, "config: zone line 1: a parenthesis is not closed"},
		{"bad timeout", map[string]string{"origin": "x.", "zone": head, "idle_timeout": "5"}, `config: idle_timeout: want a time such as "10s", got "5"`},
		{"good", map[string]string{"origin": "X", "zone": head, "idle_timeout": "5s"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := configure(func(key string) (string, bool) { v, found := test.config[key]; return v, found })
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzParseZone(f *testing.F) {
	f.Add(testZone)
	f.Add("$TTL 1w2d3h4m5s\n@ ( SOA ) \"\\065\\\"\" ; x")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = parseZone("example.org.", text) })
}
