package main

import (
	"errors"
	"log"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// messageBytesMax is what the length before a message can say.
	messageBytesMax = 1<<16 - 1
	// chainMax bounds how many CNAMEs one answer follows.
	chainMax = 16

	typeIXFR = dnsmessage.Type(251)
	// rcodeBadVersion answers an EDNS version we do not know, RFC 6891.
	rcodeBadVersion = dnsmessage.RCode(16)
)

// answer replies to one query. It returns nil for what is not a query: too
// short for a header, or itself a reply.
func (z *zone) answer(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil || header.Response {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, RecursionDesired: header.RecursionDesired,
	}}
	questions, err := p.AllQuestions()
	switch {
	case header.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	case err != nil || len(questions) != 1:
		reply.RCode = dnsmessage.RCodeFormatError
	default:
		reply.Questions = questions
		z.resolve(&reply, &p)
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) <= messageBytesMax {
		return packed
	}
	log.Printf("ERROR answer does not fit a message: %v", questions)
	reply = dnsmessage.Message{Header: reply.Header, Questions: questions}
	reply.Authoritative, reply.RCode = false, dnsmessage.RCodeServerFailure
	if packed, err = reply.Pack(); err != nil {
		return nil
	}
	return packed
}

// resolve answers the reply's question. p stands behind the question.
func (z *zone) resolve(reply *dnsmessage.Message, p *dnsmessage.Parser) {
	edns, err := findOPT(p)
	if err != nil {
		reply.RCode = dnsmessage.RCodeFormatError
		return
	}
	if edns != nil {
		rcode := dnsmessage.RCodeSuccess
		if version := edns.TTL >> 16 & 0xff; version != 0 {
			rcode = rcodeBadVersion
		}
		defer func() { reply.Additionals = append(reply.Additionals, optRecord(rcode)) }()
		if rcode != dnsmessage.RCodeSuccess {
			return
		}
	}
	q := reply.Questions[0]
	name := strings.ToLower(q.Name.String())
	known := q.Class == dnsmessage.ClassINET || q.Class == dnsmessage.ClassANY
	if !known || !z.contains(name) || q.Type == dnsmessage.TypeAXFR || q.Type == typeIXFR {
		reply.RCode = dnsmessage.RCodeRefused
		return
	}
	reply.Authoritative = true
	z.follow(reply, q.Name, q.Type)
	z.addAddresses(reply)
}

// follow adds the records at a name, and those at the names its CNAMEs lead
// to within the zone (RFC 1034, section 4.3.2).
func (z *zone) follow(reply *dnsmessage.Message, owner dnsmessage.Name, t dnsmessage.Type) {
	for range chainMax {
		name := strings.ToLower(owner.String())
		if !z.contains(name) {
			return // the client asks on
		}
		if ns := z.delegation(name); ns != nil {
			// A referral; with CNAMEs before it the answer still is ours.
			reply.Authoritative = len(reply.Answers) > 0
			reply.Authorities = append(reply.Authorities, ns...)
			return
		}
		records, exists := z.find(name)
		if !exists {
			reply.RCode = dnsmessage.RCodeNameError
			reply.Authorities = append(reply.Authorities, z.negative())
			return
		}
		if found := ofType(records, t); len(found) > 0 {
			addOwned(reply, owner, found)
			return
		}
		alias := ofType(records, dnsmessage.TypeCNAME)
		if len(alias) == 0 {
			reply.Authorities = append(reply.Authorities, z.negative())
			return
		}
		addOwned(reply, owner, alias)
		owner = alias[0].Body.(*dnsmessage.CNAMEResource).CNAME
	}
	reply.Answers, reply.RCode = nil, dnsmessage.RCodeServerFailure // a circle
}

// addOwned adds records to the answer under the name that was asked for: in
// its case, and instead of a wildcard's.
func addOwned(reply *dnsmessage.Message, owner dnsmessage.Name, records []dnsmessage.Resource) {
	for _, r := range records {
		r.Header.Name = owner
		reply.Answers = append(reply.Answers, r)
	}
}

// negative is the SOA of an answer without records. Its TTL says how long the
// client may remember that (RFC 2308, section 3).
func (z *zone) negative() dnsmessage.Resource {
	soa := z.soa
	soa.Header.TTL = min(soa.Header.TTL, soa.Body.(*dnsmessage.SOAResource).MinTTL)
	return soa
}

// addAddresses adds the addresses of the mail and name servers in a reply, so
// that the client need not ask for them.
func (z *zone) addAddresses(reply *dnsmessage.Message) {
	added := map[string]bool{}
	for _, section := range [][]dnsmessage.Resource{reply.Answers, reply.Authorities} {
		for _, r := range section {
			var host string
			switch body := r.Body.(type) {
			case *dnsmessage.MXResource:
				host = body.MX.String()
			case *dnsmessage.NSResource:
				host = body.NS.String()
			}
			host = strings.ToLower(host)
			if host == "" || added[host] {
				continue
			}
			added[host] = true
			reply.Additionals = append(reply.Additionals, ofType(z.nodes[host], dnsmessage.TypeA)...)
			reply.Additionals = append(reply.Additionals, ofType(z.nodes[host], dnsmessage.TypeAAAA)...)
		}
	}
}

// findOPT returns the header of the query's EDNS record, nil if it has none.
func findOPT(p *dnsmessage.Parser) (*dnsmessage.ResourceHeader, error) {
	if err := p.SkipAllAnswers(); err != nil {
		return nil, err
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return nil, err
	}
	for {
		h, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Type == dnsmessage.TypeOPT {
			return &h, p.SkipAdditional()
		}
		if err := p.SkipAdditional(); err != nil {
			return nil, err
		}
	}
}

// optRecord is the EDNS record of a reply. The size it gives is for UDP, which
// this server does not speak: the smallest allowed is as good as any.
func optRecord(rcode dnsmessage.RCode) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{}
	if err := h.SetEDNS0(512, rcode, false); err != nil {
		panic("BUG: " + err.Error())
	}
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}}
}
