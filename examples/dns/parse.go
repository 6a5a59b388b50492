package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// ttlDefault applies to records without a TTL before any $TTL.
const ttlDefault = 3600

// parser reads the entries of a master file in order.
type parser struct {
	zone   *zone
	origin string // what relative names are relative to, see $ORIGIN
	ttl    uint32 // of records without one, see $TTL
	owner  string // of the record before
	lines  map[string]int
}

// parseZone reads a zone from the text of a master file. It returns every
// fault of the text, each with its line.
func parseZone(origin, text string) (*zone, error) {
	origin = strings.ToLower(origin)
	if !strings.HasSuffix(origin, ".") {
		origin += "."
	}
	if err := checkName(origin); err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	entries, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := parser{
		zone:   &zone{origin: origin, nodes: map[string][]dnsmessage.Resource{}},
		origin: origin, ttl: ttlDefault, lines: map[string]int{},
	}
	var faults []error
	for _, e := range entries {
		if err := p.entry(e); err != nil {
			faults = append(faults, fmt.Errorf("zone line %d: %w", e.line, err))
		}
	}
	if len(faults) == 0 {
		faults = p.check()
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return p.zone, nil
}

// entry takes in a directive or a record:
//
//	[owner] [TTL] [IN] TYPE DATA...
func (p *parser) entry(e entry) error {
	words := e.words
	if !e.indented {
		first := words[0].text
		if strings.HasPrefix(first, "$") {
			return p.directive(first, words[1:])
		}
		owner, err := p.name(first)
		if err != nil {
			return err
		}
		p.owner, words = owner, words[1:]
	}
	if p.owner == "" {
		return errors.New("the first record has no owner (the line is indented)")
	}
	ttl := p.ttl
	for len(words) > 0 { // TTL and class, in any order
		text := strings.ToUpper(words[0].text)
		if number, err := parseTTL(text); err == nil {
			ttl = number
		} else if text != "IN" {
			break
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return errors.New("the record has no type")
	}
	body, err := p.body(strings.ToUpper(words[0].text), words[1:])
	if err != nil {
		return err
	}
	return p.add(e.line, ttl, body)
}

// add puts a record into the zone.
func (p *parser) add(line int, ttl uint32, body typedBody) error {
	if !p.zone.contains(p.owner) {
		return fmt.Errorf("%s is outside the zone %s", p.owner, p.zone.origin)
	}
	name, err := dnsmessage.NewName(p.owner)
	if err != nil {
		return fmt.Errorf("name %s: %w", p.owner, err)
	}
	r := dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Type: body.kind, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body.data,
	}
	if body.kind == dnsmessage.TypeSOA {
		if p.owner != p.zone.origin {
			return fmt.Errorf("the SOA is at %s, want it at %s", p.owner, p.zone.origin)
		}
		if p.zone.soa.Body != nil {
			return errors.New("a second SOA")
		}
		p.zone.soa = r
	}
	p.zone.add(r)
	if p.lines[p.owner] == 0 {
		p.lines[p.owner] = line
	}
	return nil
}

func (p *parser) directive(name string, args []word) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: want one value, got %d", name, len(args))
	}
	var err error
	switch strings.ToUpper(name) {
	case "$ORIGIN":
		p.origin, err = p.name(args[0].text)
	case "$TTL":
		p.ttl, err = parseTTL(args[0].text)
	default:
		err = errors.New("not known; $ORIGIN and $TTL are")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// name makes a name absolute and lower case. @ is the origin.
func (p *parser) name(text string) (string, error) {
	name := strings.ToLower(text)
	switch {
	case name == "@":
		name = p.origin
	case !strings.HasSuffix(name, "."):
		name += "." + strings.TrimPrefix(p.origin, ".")
	}
	return name, checkName(name)
}

// checkName checks the lengths in an absolute name: labels up to 63 bytes, all
// up to 255 with a length byte each (RFC 1035, section 2.3.4).
func checkName(name string) error {
	if name == "." {
		return nil
	}
	if len(name) > 254 {
		return fmt.Errorf("name %s: longer than 254 bytes", name)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || strings.Contains(label, `\`) {
			return fmt.Errorf("name %s: want labels of 1 to 63 bytes without a backslash", name)
		}
	}
	return nil
}

// check looks for faults of the zone as a whole.
func (p *parser) check() []error {
	var faults []error
	z := p.zone
	if z.soa.Body == nil {
		faults = append(faults, fmt.Errorf("zone: no SOA record at %s", z.origin))
	}
	if len(ofType(z.nodes[z.origin], dnsmessage.TypeNS)) == 0 {
		faults = append(faults, fmt.Errorf("zone: no NS record at %s", z.origin))
	}
	for _, name := range slices.Sorted(maps.Keys(z.nodes)) {
		records := z.nodes[name]
		if alias := ofType(records, dnsmessage.TypeCNAME); len(alias) > 0 && len(records) > 1 {
			faults = append(faults, fmt.Errorf("zone line %d: %s has a CNAME, so it can have no other record", p.lines[name], name))
		}
	}
	return faults
}
