package main

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// testZone has one of everything.
const testZone = `
$TTL 1h
@          IN SOA ns1 hostmaster (
                  2026010101 ; serial
                  2h 15m 2w 5m )
           NS     ns1
           NS     ns.elsewhere.net.
           MX     10 mail
           TXT    "v=spf1 mx -all" "second \"string\""
ns1        A      192.0.2.1
mail 300   A      192.0.2.2
mail       AAAA   2001:db8::2
www        CNAME  web
web        A      192.0.2.10
           A      192.0.2.11
out        CNAME  www.example.net.
dangling   CNAME  nowhere
loop1      CNAME  loop2
loop2      CNAME  loop1
*.apps     A      192.0.2.20
a.b.c      TXT    deep
sub        NS     ns.sub
ns.sub     A      192.0.2.30
insub      CNAME  host.sub
$ORIGIN lab.example.org.
x          A      192.0.2.40
`

func mustParse(t testing.TB, text string) *zone {
	t.Helper()
	z, err := parseZone("example.org", text)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// ask answers a question and unpacks the reply.
func ask(t *testing.T, z *zone, name string, kind dnsmessage.Type, change func(*dnsmessage.Message)) dnsmessage.Message {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if change != nil {
		change(&m)
	}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var reply dnsmessage.Message
	if err := reply.Unpack(z.answer(query)); err != nil {
		t.Fatalf("%s %s: unpack reply: %v", name, kind, err)
	}
	if reply.ID != 7 || !reply.Response || !reply.RecursionDesired || reply.RecursionAvailable {
		t.Errorf("%s %s: header %+v", name, kind, reply.Header)
	}
	return reply
}

// text writes a reply in a short form: the code, aa if authoritative, and each
// section after its first letter.
func text(m dnsmessage.Message) string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(m.RCode.String(), "RCode"))
	if m.Authoritative {
		b.WriteString(" aa")
	}
	for i, section := range [][]dnsmessage.Resource{m.Answers, m.Authorities, m.Additionals} {
		for _, r := range section {
			fmt.Fprintf(&b, "\n%c %s %d %s", "anx"[i], r.Header.Name, r.Header.TTL, strings.TrimPrefix(r.Header.Type.String(), "Type"))
			switch body := r.Body.(type) {
			case *dnsmessage.AResource:
				fmt.Fprintf(&b, " %d", body.A)
			case *dnsmessage.CNAMEResource:
				fmt.Fprintf(&b, " %s", body.CNAME)
			case *dnsmessage.NSResource:
				fmt.Fprintf(&b, " %s", body.NS)
			case *dnsmessage.MXResource:
				fmt.Fprintf(&b, " %d %s", body.Pref, body.MX)
			case *dnsmessage.TXTResource:
				fmt.Fprintf(&b, " %q", body.TXT)
			}
		}
	}
	return b.String()
}

func TestAnswers(t *testing.T) {
	const (
		negative = "\nn example.org. 300 SOA"
		ns1      = "\nx ns1.example.org. 3600 A [192 0 2 1]"
	)
	tests := []struct {
		name, query string
		kind        dnsmessage.Type
		want        string
	}{
		{
			"several records", "web.example.org.", dnsmessage.TypeA,
			"Success aa\na web.example.org. 3600 A [192 0 2 10]\na web.example.org. 3600 A [192 0 2 11]",
		},
		{"the question's case is kept", "MaIl.example.ORG.", dnsmessage.TypeA, "Success aa\na MaIl.example.ORG. 300 A [192 0 2 2]"},
		{"TXT", "example.org.", dnsmessage.TypeTXT, "Success aa\na example.org. 3600 TXT [\"v=spf1 mx -all\" \"second \\\"string\\\"\"]"},
		{"SOA", "example.org.", dnsmessage.TypeSOA, "Success aa\na example.org. 3600 SOA"},
		{
			"NS with addresses", "example.org.", dnsmessage.TypeNS,
			"Success aa\na example.org. 3600 NS ns1.example.org.\na example.org. 3600 NS ns.elsewhere.net." + ns1,
		},
		{
			"MX with addresses", "example.org.", dnsmessage.TypeMX,
			"Success aa\na example.org. 3600 MX 10 mail.example.org.\nx mail.example.org. 300 A [192 0 2 2]\nx mail.example.org. 3600 AAAA",
		},
		{
			"alias", "www.example.org.", dnsmessage.TypeA,
			"Success aa\na www.example.org. 3600 CNAME web.example.org.\na web.example.org. 3600 A [192 0 2 10]\na web.example.org. 3600 A [192 0 2 11]",
		},
		{"alias itself", "www.example.org.", dnsmessage.TypeCNAME, "Success aa\na www.example.org. 3600 CNAME web.example.org."},
		{
			"alias without such records", "www.example.org.", dnsmessage.TypeMX,
			"Success aa\na www.example.org. 3600 CNAME web.example.org." + negative,
		},
		{"alias out of the zone", "out.example.org.", dnsmessage.TypeA, "Success aa\na out.example.org. 3600 CNAME www.example.net."},
		{
			"alias to nothing", "dangling.example.org.", dnsmessage.TypeA,
			"NameError aa\na dangling.example.org. 3600 CNAME nowhere.example.org." + negative,
		},
		{"aliases in a circle", "loop1.example.org.", dnsmessage.TypeA, "ServerFailure aa"},
		{
			"alias into a delegation", "insub.example.org.", dnsmessage.TypeA,
			"Success aa\na insub.example.org. 3600 CNAME host.sub.example.org.\nn sub.example.org. 3600 NS ns.sub.example.org.\nx ns.sub.example.org. 3600 A [192 0 2 30]",
		},
		{"wildcard", "shop.apps.example.org.", dnsmessage.TypeA, "Success aa\na shop.apps.example.org. 3600 A [192 0 2 20]"},
		{"wildcard, two labels", "x.shop.apps.example.org.", dnsmessage.TypeA, "Success aa\na x.shop.apps.example.org. 3600 A [192 0 2 20]"},
		{"wildcard without such records", "shop.apps.example.org.", dnsmessage.TypeTXT, "Success aa" + negative},
		{"no such name", "nope.example.org.", dnsmessage.TypeA, "NameError aa" + negative},
		{"no such record", "ns1.example.org.", dnsmessage.TypeAAAA, "Success aa" + negative},
		{"a name between others", "b.c.example.org.", dnsmessage.TypeA, "Success aa" + negative},
		{"$ORIGIN", "x.lab.example.org.", dnsmessage.TypeA, "Success aa\na x.lab.example.org. 3600 A [192 0 2 40]"},
		{
			"referral", "host.sub.example.org.", dnsmessage.TypeA,
			"Success\nn sub.example.org. 3600 NS ns.sub.example.org.\nx ns.sub.example.org. 3600 A [192 0 2 30]",
		},
		{"outside", "example.net.", dnsmessage.TypeA, "Refused"},
		{"outside, same ending", "notexample.org.", dnsmessage.TypeA, "Refused"},
		{"zone transfer", "example.org.", dnsmessage.TypeAXFR, "Refused"},
		{
			"all types", "mail.example.org.", dnsmessage.TypeALL,
			"Success aa\na mail.example.org. 300 A [192 0 2 2]\na mail.example.org. 3600 AAAA",
		},
	}
	z := mustParse(t, testZone)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := text(ask(t, z, test.query, test.kind, nil)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestUnusualQueries(t *testing.T) {
	z := mustParse(t, testZone)
	tests := []struct {
		name   string
		change func(*dnsmessage.Message)
		want   string
	}{
		{"another opcode", func(m *dnsmessage.Message) { m.OpCode = 5 }, "NotImplemented"},
		{"no question", func(m *dnsmessage.Message) { m.Questions = nil }, "FormatError"},
		{"two questions", func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }, "FormatError"},
		{"another class", func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }, "Refused"},
		{
			"EDNS", func(m *dnsmessage.Message) { m.Additionals = append(m.Additionals, optRecord(0)) },
			"Success aa\na ns1.example.org. 3600 A [192 0 2 1]\nx . 0 OPT",
		},
		{"EDNS of another version", func(m *dnsmessage.Message) {
			opt := optRecord(0)
			opt.Header.TTL = 1 << 16
			m.Additionals = append(m.Additionals, opt)
		}, "Success\nx . 16777216 OPT"}, // 1<<24: the upper bits of code 16, BADVERS
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := text(ask(t, z, "ns1.example.org.", dnsmessage.TypeA, test.change)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestWhatIsNoQueryGetsNoReply(t *testing.T) {
	z := mustParse(t, testZone)
	reply, err := (&dnsmessage.Message{Header: dnsmessage.Header{Response: true}}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range [][]byte{nil, {0, 1, 2}, reply} {
		if got := z.answer(message); got != nil {
			t.Errorf("%v: got %v", message, got)
		}
	}
}

// More records than a message holds give a failure, not a broken message.
func TestAnswerTooLong(t *testing.T) {
	text := testZone + "$ORIGIN example.org.\n"
	for range 300 {
		text += "big TXT " + strings.Repeat("x", 255) + "\n"
	}
	got := ask(t, mustParse(t, text), "big.example.org.", dnsmessage.TypeTXT, nil)
	if got.RCode != dnsmessage.RCodeServerFailure || len(got.Answers) != 0 {
		t.Errorf("got %s with %d answers", got.RCode, len(got.Answers))
	}
}

// Nothing a client sends may panic or be answered with what cannot be read.
func FuzzAnswer(f *testing.F) {
	z := mustParse(f, testZone)
	for _, name := range []string{"www.example.org.", "x.apps.example.org.", "."} {
		m := dnsmessage.Message{
			Questions:   []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
			Additionals: []dnsmessage.Resource{optRecord(0)},
		}
		query, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(query)
		f.Add(query[:len(query)-5])
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		reply := z.answer(query)
		var m dnsmessage.Message
		if reply == nil {
			return
		}
		if err := m.Unpack(reply); err != nil || !m.Response || len(reply) > messageBytesMax {
			t.Errorf("reply of %d bytes: %v, %v", len(reply), m, err)
		}
	})
}
