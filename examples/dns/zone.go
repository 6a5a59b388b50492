package main

import (
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is the records of one zone. It does not change once parsed.
type zone struct {
	origin string // absolute, lower case: "example.org."
	soa    dnsmessage.Resource
	// nodes has every name that exists, lower case. A name that exists only
	// because there is one below it has no records.
	nodes map[string][]dnsmessage.Resource
}

// contains reports whether a name, in lower case, is the origin or below it.
func (z *zone) contains(name string) bool {
	return z.origin == "." || name == z.origin || strings.HasSuffix(name, "."+z.origin)
}

// add makes a record part of the zone, and every name above it exist.
func (z *zone) add(r dnsmessage.Resource) {
	name := strings.ToLower(r.Header.Name.String())
	z.nodes[name] = append(z.nodes[name], r)
	for name != z.origin {
		name = parent(name)
		if _, exists := z.nodes[name]; exists {
			return
		}
		z.nodes[name] = nil
	}
}

// parent is the name without its first label.
func parent(name string) string {
	_, above, _ := strings.Cut(name, ".")
	if above == "" {
		return "."
	}
	return above
}

// find returns the records at a name that the zone contains. Where the name
// does not exist, the wildcard of the closest name above it that does stands
// in (RFC 4592).
func (z *zone) find(name string) (records []dnsmessage.Resource, exists bool) {
	if records, exists = z.nodes[name]; exists {
		return records, true
	}
	for {
		name = parent(name)
		if _, exists = z.nodes[name]; exists {
			wildcard := "*." + strings.TrimPrefix(name, ".")
			records, exists = z.nodes[wildcard]
			return records, exists
		}
	}
}

// delegation returns the name servers of the part of the zone that was handed
// to others and that the name belongs to, if it does.
func (z *zone) delegation(name string) []dnsmessage.Resource {
	var closest []dnsmessage.Resource
	for ; name != z.origin; name = parent(name) {
		if ns := ofType(z.nodes[name], dnsmessage.TypeNS); len(ns) > 0 {
			closest = ns // the one nearest to the origin decides
		}
	}
	return closest
}

// ofType returns the records of a type; of all types for TypeALL.
func ofType(records []dnsmessage.Resource, t dnsmessage.Type) []dnsmessage.Resource {
	var found []dnsmessage.Resource
	for _, r := range records {
		if r.Header.Type == t || t == dnsmessage.TypeALL {
			found = append(found, r)
		}
	}
	return found
}
