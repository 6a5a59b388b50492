package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// ttlMax is the longest time to live, RFC 2181, section 8.
const ttlMax = 1<<31 - 1

// typedBody is a record's data and its type.
type typedBody struct {
	kind dnsmessage.Type
	data dnsmessage.ResourceBody
}

// recordTypes are the types a zone may have: how many words of data each
// takes, and how to read them.
var recordTypes = map[string]struct {
	kind  dnsmessage.Type
	words int // -1: one or more
	read  func(p *parser, w []word) (dnsmessage.ResourceBody, error)
}{
	"A":     {dnsmessage.TypeA, 1, readA},
	"AAAA":  {dnsmessage.TypeAAAA, 1, readAAAA},
	"CNAME": {dnsmessage.TypeCNAME, 1, readCNAME},
	"MX":    {dnsmessage.TypeMX, 2, readMX},
	"NS":    {dnsmessage.TypeNS, 1, readNS},
	"SOA":   {dnsmessage.TypeSOA, 7, readSOA},
	"TXT":   {dnsmessage.TypeTXT, -1, readTXT},
}

// body reads a record's data.
func (p *parser) body(name string, words []word) (typedBody, error) {
	t, known := recordTypes[name]
	if !known {
		return typedBody{}, fmt.Errorf("record type %q is not known; A, AAAA, CNAME, MX, NS, SOA and TXT are", name)
	}
	if len(words) != t.words && (t.words >= 0 || len(words) == 0) {
		return typedBody{}, fmt.Errorf("%s: want %s, got %d", name, wanted(t.words), len(words))
	}
	data, err := t.read(p, words)
	if err != nil {
		return typedBody{}, fmt.Errorf("%s: %w", name, err)
	}
	return typedBody{t.kind, data}, nil
}

func wanted(words int) string {
	if words < 0 {
		return "at least one value"
	}
	return strconv.Itoa(words) + " values"
}

func readA(_ *parser, w []word) (dnsmessage.ResourceBody, error) {
	a, err := netip.ParseAddr(w[0].text)
	if err != nil || !a.Is4() {
		return nil, fmt.Errorf("want an IPv4 address, got %q", w[0].text)
	}
	return &dnsmessage.AResource{A: a.As4()}, nil
}

func readAAAA(_ *parser, w []word) (dnsmessage.ResourceBody, error) {
	a, err := netip.ParseAddr(w[0].text)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return nil, fmt.Errorf("want an IPv6 address, got %q", w[0].text)
	}
	return &dnsmessage.AAAAResource{AAAA: a.As16()}, nil
}

func readCNAME(p *parser, w []word) (dnsmessage.ResourceBody, error) {
	target, err := p.target(w[0])
	return &dnsmessage.CNAMEResource{CNAME: target}, err
}

func readNS(p *parser, w []word) (dnsmessage.ResourceBody, error) {
	host, err := p.target(w[0])
	return &dnsmessage.NSResource{NS: host}, err
}

func readMX(p *parser, w []word) (dnsmessage.ResourceBody, error) {
	preference, err := strconv.ParseUint(w[0].text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("want a preference from 0 to 65535, got %q", w[0].text)
	}
	host, err := p.target(w[1])
	return &dnsmessage.MXResource{Pref: uint16(preference), MX: host}, err
}

func readSOA(p *parser, w []word) (dnsmessage.ResourceBody, error) {
	soa := new(dnsmessage.SOAResource)
	var err error
	if soa.NS, err = p.target(w[0]); err != nil {
		return nil, err
	}
	if soa.MBox, err = p.target(w[1]); err != nil {
		return nil, err
	}
	serial, err := strconv.ParseUint(w[2].text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("want a serial number from 0 to 4294967295, got %q", w[2].text)
	}
	soa.Serial = uint32(serial)
	for i, field := range []*uint32{&soa.Refresh, &soa.Retry, &soa.Expire, &soa.MinTTL} {
		if *field, err = parseTTL(w[3+i].text); err != nil {
			return nil, err
		}
	}
	return soa, nil
}

func readTXT(_ *parser, w []word) (dnsmessage.ResourceBody, error) {
	txt := new(dnsmessage.TXTResource)
	for _, word := range w {
		if len(word.text) > 255 {
			return nil, fmt.Errorf("a text of %d bytes; one may have 255: split it into several", len(word.text))
		}
		txt.TXT = append(txt.TXT, word.text)
	}
	return txt, nil
}

// target is a name in a record's data.
func (p *parser) target(w word) (dnsmessage.Name, error) {
	name, err := p.name(w.text)
	if err != nil {
		return dnsmessage.Name{}, err
	}
	return dnsmessage.NewName(name)
}

// parseTTL reads a time in seconds: "3600", or with units, "1h30m". The units
// are w, d, h, m and s.
func parseTTL(text string) (uint32, error) {
	units := map[byte]uint64{'s': 1, 'm': 60, 'h': 60 * 60, 'd': 24 * 60 * 60, 'w': 7 * 24 * 60 * 60}
	fault := fmt.Errorf("want a time such as 3600 or 1h30m, up to %d seconds, got %q", ttlMax, text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return uint32(seconds), nil
	}
	if text == "" {
		return 0, fault
	}
	var total uint64
	for rest := strings.ToLower(text); rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return 0, fault
		}
		number, err := strconv.ParseUint(rest[:end], 10, 31)
		unit, known := units[rest[end]]
		if err != nil || !known {
			return 0, fault
		}
		// Below 2^31 before, and a factor below 2^20: no overflow.
		if total += number * unit; total > ttlMax {
			return 0, fault
		}
		rest = rest[end+1:]
	}
	return uint32(total), nil
}
