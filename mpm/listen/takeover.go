package listen

import (
	"fmt"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// Handed is how a Table's sockets travel to another program in the same
// process: their descriptors, and what is known of them, as JSON. Fields may be
// added; who does not know one leaves it alone.
type Handed struct {
	Sockets []HandedSocket `json:"sockets"`
}

// HandedSocket is one socket of a Table.
type HandedSocket struct {
	FD      sys.FD            `json:"fd"`
	Buckets []HandedBucket    `json:"buckets,omitempty"` // beside the first
	Live    int               `json:"live,omitempty"`
	Want    int               `json:"want,omitempty"`
	Zone    string            `json:"zone,omitempty"`
	Name    string            `json:"name"`
	Key     string            `json:"key"`
	Options mpm.SocketOptions `json:"options"`
	// File is that of a Unix socket which is ours to remove.
	File sys.FileID `json:"file"`
	// Passed sockets are a service manager's, by PassedName.
	Passed     bool   `json:"passed,omitempty"`
	PassedName string `json:"passed_name,omitempty"`
}

// HandedBucket is one socket more on the address of another.
type HandedBucket struct {
	FD   sys.FD `json:"fd"`
	Used bool   `json:"used"`
}

// Descriptors are all that are named.
func (h *Handed) Descriptors() []sys.FD {
	var fds []sys.FD
	for _, s := range h.Sockets {
		fds = append(fds, s.FD)
		for _, b := range s.Buckets {
			fds = append(fds, b.FD)
		}
	}
	return fds
}

// Export describes all sockets, which stay the table's. Index says which is
// which.
func (t *Table) Export() Handed {
	h := Handed{Sockets: []HandedSocket{}}
	for _, s := range t.sockets {
		var buckets []HandedBucket
		for _, b := range s.more {
			buckets = append(buckets, HandedBucket{b.fd, b.used})
		}
		h.Sockets = append(h.Sockets, HandedSocket{
			FD: s.fd, Buckets: buckets, Live: s.live, Want: s.want, Zone: s.zone, Name: s.Name, Key: s.key, Options: s.options, File: s.file, Passed: s.passed, PassedName: s.passedName,
		})
	}
	return h
}

// Index gives, for sockets that Acquire returned, their places in what Export
// returns.
func (t *Table) Index(sockets []*Socket) []int {
	places := []int{}
	for _, s := range sockets {
		for i, other := range t.sockets {
			if s == other {
				places = append(places, i)
			}
		}
	}
	return places
}

// Import makes the table of what Export described, in the same process. Nobody
// uses its sockets yet; Retain each generation's, then Release those of none.
//
// # Errors
//
// A descriptor is no listening socket. The table is as it was.
func (t *Table) Import(h Handed) error {
	var got []*Socket
	for _, d := range h.Sockets {
		s := &Socket{
			Name: d.Name, fd: d.FD, live: d.Live, want: d.Want, zone: d.Zone, key: d.Key, options: d.Options, file: d.File, passed: d.Passed, passedName: d.PassedName,
		}
		if !d.FD.IsListener() {
			return fmt.Errorf("take over socket %s: descriptor %d is no listening socket", d.Key, d.FD)
		}
		var err error
		if s.Bound, err = d.FD.LocalAddr(); err != nil {
			return fmt.Errorf("take over socket %s: %w", d.Key, err)
		}
		for _, b := range d.Buckets {
			if !b.FD.IsListener() {
				return fmt.Errorf("take over socket %s: descriptor %d is no listening socket", d.Key, b.FD)
			}
			s.more = append(s.more, &bucket{fd: b.FD, used: b.Used})
		}
		got = append(got, s)
	}
	t.sockets = got
	return nil
}

// Retain notes a user of the sockets at places, and returns them; Release
// takes them back.
//
// # Errors
//
// There is no such place.
func (t *Table) Retain(places []int) ([]*Socket, error) {
	var got []*Socket
	for _, i := range places {
		if i < 0 || i >= len(t.sockets) {
			return nil, fmt.Errorf("take over sockets: there is no number %d", i)
		}
		got = append(got, t.sockets[i])
	}
	for _, s := range got {
		s.users++
	}
	return got, nil
}
