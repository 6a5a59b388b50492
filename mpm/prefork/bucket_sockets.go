package prefork

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// socketsOf are the sockets of a bucket's children: one for each listener, and
// after those what is left of more buckets than there are, with the listener
// that each belongs to.
func (g *linuxGeneration) socketsOf(bucket int) (fds []sys.FD, surplus []int) {
	for _, s := range g.socks {
		fds = append(fds, s.FD(bucket))
	}
	for i, s := range g.socks {
		more := s.Surplus(bucket, len(g.pods))
		fds = append(fds, more...)
		surplus = append(surplus, slices.Repeat([]int{i}, len(more))...)
	}
	return fds, surplus
}

// steer sends clients to the buckets of g.
func (g *linuxGeneration) steer() {
	if err := g.system.table.Steer(g.socks, len(g.pods)); err != nil {
		g.system.log.Error("clients do not go to every bucket", "err", err)
	}
}

func (g *linuxGeneration) sweep(now time.Time) error { return g.system.table.Sweep(now) }

// letGo gives back the sockets. Those that were made for g go, if it never
// served.
func (g *linuxGeneration) letGo() {
	if !g.opened {
		g.system.table.Unspread(g.socks)
	}
	g.system.table.Release(g.socks)
	g.socks = nil
}

// bucketArgs are a child's arguments on its bucket. Without buckets there are
// none.
type bucketArgs struct {
	bucket, buckets int
	// surplus are the listeners, by their place in the options, of the sockets
	// that follow after one for each listener. They are left of a generation
	// with more buckets, and the master closes them when they are empty.
	surplus []int
}

func (b bucketArgs) encode() []string {
	var args []string
	if b.buckets > 1 {
		args = append(args, "bucket", strconv.Itoa(b.bucket))
	}
	if len(b.surplus) > 0 {
		var list []string
		for _, i := range b.surplus {
			list = append(list, strconv.Itoa(i))
		}
		args = append(args, "surplus", strings.Join(list, ","))
	}
	return args
}

// parseSurplus is the part of encode that a child acts by.
func parseSurplus(args []string, listeners int) ([]int, error) {
	at := slices.Index(args, "surplus")
	if at < 0 {
		return nil, nil
	}
	if at+1 == len(args) {
		return nil, errors.New("surplus: the list is missing")
	}
	var surplus []int
	for text := range strings.SplitSeq(args[at+1], ",") {
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i >= listeners {
			return nil, fmt.Errorf("surplus: %q is not the number of a listener", text)
		}
		surplus = append(surplus, i)
	}
	return surplus, nil
}

// openListeners takes over the sockets of socketsOf.
func (c *Child) openListeners(args []string) error {
	names := c.Options.Listeners
	surplus, err := parseSurplus(args, len(names))
	if err != nil {
		return fmt.Errorf("start child: %w", err)
	}
	for i := range len(names) + len(surplus) {
		l := childListener{fd: inherit(fdListeners + i), surplus: i >= len(names)}
		if l.surplus {
			l.name = names[surplus[i-len(names)]].Name
		} else {
			l.name = names[i].Name
		}
		if !l.fd.IsListener() && !l.surplus { // which may be closed by now
			return fmt.Errorf("start child: descriptor %d is not a listening socket", l.fd)
		}
		if err := l.fd.SetNonblock(); err != nil { // whoever shares it may have changed that
			return fmt.Errorf("start child: %w", err)
		}
		c.listeners = append(c.listeners, l)
	}
	return nil
}
