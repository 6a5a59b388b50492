//go:build !wasip1

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/apphost/apphost/cmd/apphosttest"
	"github.com/apphost/apphost/examples/internal/buildtest"
	"github.com/apphost/apphost/sdk/abi"
)

func TestMain(m *testing.M) { os.Exit(apphosttest.Main(m)) }

// configWith is the README's configuration with another zone.
func configWith(t *testing.T, zone string) string {
	t.Helper()
	before, rest, _ := strings.Cut(buildtest.Config(t), `zone = """`)
	_, after, found := strings.Cut(rest, `"""`)
	if !found {
		t.Fatal("README.md has no zone")
	}
	return before + "zone = '''\n" + zone + "'''" + after
}

func TestServed(t *testing.T) {
	plugins := map[string]string{"dns": buildtest.Go(t, "dns", abi.ConnModule, 3600<<10)}
	s := buildtest.Serve(t, plugins)
	t.Run("README", func(t *testing.T) { buildtest.Try(t, s) })
	t.Run("faulty zone on reload", func(t *testing.T) { servedFaultyReload(t, s) })

	t.Run("another zone on reload", func(t *testing.T) { servedReload(t, s) })
	t.Run("answers", func(t *testing.T) { servedAnswers(t, s) })
	t.Run("one connection", func(t *testing.T) { servedConnection(t, s) })
	t.Run("dig", func(t *testing.T) { servedDig(t, s) })

	t.Run("faulty zone at the start", func(t *testing.T) { faultyStart(t, plugins) })
}

// A zone with two faults, and what is said of it.
const (
	faultyZone = head + "web A 192.0.2\nx MX mail\n"
	refusal    = `apphost: plugin "dns": config: zone line 3: A: want an IPv4 address, got "192.0.2"
apphost: plugin "dns": zone line 4: MX: want 2 values, got 1
apphost: plugin "dns": child_init returned 1
`
)

// faultyStart expects a server that does not start and says why.
func faultyStart(t *testing.T, plugins map[string]string) {
	s := buildtest.New(t, configWith(t, faultyZone), plugins)
	if out, code := s.Run("-c", "config.toml"); code != 1 || out != refusal {
		t.Errorf("exit status %d:\n%s\nwant\n%s", code, out, refusal)
	}
}

// servedFaultyReload expects the zone of before to be served on.
func servedFaultyReload(t *testing.T, s *apphosttest.Server) {
	c := dialDNS(t, s)
	const name, was = "web.example.org.", "Success aa\na web.example.org. 3600 A [192 0 2 10]"
	s.Configure(configWith(t, faultyZone))
	out, code := s.Run("reload", "-c", "config.toml")
	if want := refusal + "apphost: not reloaded; generation 1 serves on\n"; code != 1 || out != want {
		t.Errorf("exit status %d:\n%s\nwant\n%s", code, out, want)
	}
	for what, c := range map[string]net.Conn{"a connection of before": c, "a new connection": dialDNS(t, s)} {
		if got := text(unpack(t, request(t, c, query(t, name, dnsmessage.TypeA)))); got != was {
			t.Errorf("%s: got\n%s\nwant\n%s", what, got, was)
		}
	}
}

// servedReload puts testZone in place of the README's zone. A connection of
// before is answered from the old one once more and then ends.
func servedReload(t *testing.T, s *apphosttest.Server) {
	old, q := dialDNS(t, s), query(t, "web.example.org.", dnsmessage.TypeA)
	before := request(t, old, q)
	s.Configure(configWith(t, testZone))
	s.Reload()
	if got, want := request(t, dialDNS(t, s), q), mustParse(t, testZone).answer(q); !bytes.Equal(got, want) || bytes.Equal(got, before) {
		t.Errorf("after the reload: got\n%s\nwant\n%s", text(unpack(t, got)), text(unpack(t, want)))
	}
	if got := request(t, old, q); !bytes.Equal(got, before) {
		t.Errorf("a connection of before: got\n%s\nwant\n%s", text(unpack(t, got)), text(unpack(t, before)))
	}
	if rest, err := io.ReadAll(old); err != nil || len(rest) != 0 {
		t.Errorf("a connection of before: got %q, %v, want its end", rest, err)
	}
}

func dialDNS(t *testing.T, s *apphosttest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("dns"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(apphosttest.Patience))
	return c
}

func query(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// request sends a query and returns the reply.
func request(t *testing.T, c net.Conn, query []byte) []byte {
	t.Helper()
	send(t, c, append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...))
	var length [lengthBytes]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

func unpack(t *testing.T, reply []byte) (m dnsmessage.Message) {
	t.Helper()
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	return m
}

// The plugin answers byte by byte what the same code answers natively, which
// TestAnswers holds. All questions go over one connection.
func servedAnswers(t *testing.T, s *apphosttest.Server) {
	z, c := mustParse(t, testZone), dialDNS(t, s)
	names := []string{
		"example.org.", "web.example.org.", "MaIl.example.ORG.", "www.example.org.", "out.example.org.", "loop1.example.org.",
		"shop.apps.example.org.", "nope.example.org.", "b.c.example.org.", "host.sub.example.org.", "example.net.",
	}
	kinds := []dnsmessage.Type{
		dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeCNAME, dnsmessage.TypeMX, dnsmessage.TypeTXT,
		dnsmessage.TypeNS, dnsmessage.TypeSOA, dnsmessage.TypeALL, dnsmessage.TypeAXFR,
	}
	for _, name := range names {
		for _, kind := range kinds {
			q := query(t, name, kind)
			if got, want := request(t, c, q), z.answer(q); !bytes.Equal(got, want) {
				t.Errorf("%s %s: got\n%s\nwant\n%s", name, kind, text(unpack(t, got)), text(unpack(t, want)))
			}
		}
	}
}

// Queries that are sent together are answered in their order, and the
// connection ends when the client has closed its side.
func servedConnection(t *testing.T, s *apphosttest.Server) {
	c := dialDNS(t, s)
	var burst []byte
	const queries = 500
	for n := range queries {
		burst = append(burst, message(t, uint16(n), "web.example.org.")...)
	}
	send(t, c, burst)
	for n := range queries {
		if id, answers := readReply(t, c); id != uint16(n) || answers != 2 {
			t.Fatalf("got reply %d with %d answers, want reply %d with 2", id, answers, n)
		}
	}
	c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}
