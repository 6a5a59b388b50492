package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

const (
	// firstPassed is the descriptor that a service manager begins with.
	firstPassed = 3
	// passedMax bounds what LISTEN_FDS may say.
	passedMax = 1000
)

// Inherit takes over the sockets that a service manager handed to the process
// pid, as its environment says; see sd_listen_fds(3). They stay the manager's:
// no Release closes them. It is for before the first Acquire.
//
// # Errors
//
// The environment makes no sense, or a descriptor is no listening socket.
func (t *Table) Inherit(environment []string, pid int) error {
	values := map[string]string{}
	for _, kv := range environment {
		name, value, _ := strings.Cut(kv, "=")
		values[name] = value
	}
	if values["LISTEN_PID"] != strconv.Itoa(pid) || values["LISTEN_FDS"] == "" {
		return nil // nothing, or another process's
	}
	n, err := strconv.Atoi(values["LISTEN_FDS"])
	if err != nil || n < 0 || n > passedMax {
		return fmt.Errorf("take over sockets: LISTEN_FDS is %q, which is no number from 0 to %d", values["LISTEN_FDS"], passedMax)
	}
	var fds []sys.FD
	for i := range n {
		fds = append(fds, sys.FD(firstPassed+i))
	}
	return t.takeOver(fds, strings.Split(values["LISTEN_FDNAMES"], ":"))
}

func (t *Table) takeOver(fds []sys.FD, names []string) error {
	var errs []error
	for i, fd := range fds {
		s := &Socket{fd: fd, passed: true, key: fmt.Sprintf("descriptor %d", fd)}
		if i < len(names) {
			s.passedName = names[i]
		}
		if err := s.takeOver(); err != nil {
			errs = append(errs, fmt.Errorf("take over %s: %w", s.describe(), err))
			continue
		}
		t.sockets = append(t.sockets, s)
	}
	return errors.Join(errs...)
}

// takeOver checks what was handed over. Nobody may wait in accept(2).
func (s *Socket) takeOver() (err error) {
	if !s.fd.IsListener() {
		return errors.New("it is no socket that listens; let the service manager hand over stream sockets that it does not accept from (ListenStream=, Accept=no)")
	}
	if s.Bound, err = s.fd.LocalAddr(); err != nil {
		return err
	}
	return s.fd.SetNonblock()
}

func (s *Socket) describe() string {
	text := s.key
	if s.passedName != "" {
		text += fmt.Sprintf(" %q", s.passedName)
	}
	if s.Bound != nil {
		text += " (" + s.Bound.String() + ")"
	}
	return text
}

// claim finds the passed socket of each listener; without passed sockets all
// are nil. Once there are any, listeners and sockets must be one to one: who
// hands over sockets decides where the server listens, so an address that
// matches none is a slip, and on a socket that nobody accepts from clients
// would wait for ever.
func (t *Table) claim(listeners []mpm.Listener) ([]*Socket, error) {
	claimed := make([]*Socket, len(listeners))
	var free []*Socket
	for _, s := range t.sockets {
		if s.passed {
			free = append(free, s)
		}
	}
	if len(free) == 0 {
		return claimed, nil
	}
	// The same address counts for more than a name, which a manager may give
	// to several.
	for _, matches := range []func(*Socket, *mpm.Listener) bool{(*Socket).hasAddress, (*Socket).hasName} {
		for i := range listeners {
			if claimed[i] != nil {
				continue
			}
			if at := slices.IndexFunc(free, func(s *Socket) bool { return matches(s, &listeners[i]) }); at >= 0 {
				claimed[i] = free[at]
				free = slices.Delete(free, at, at+1)
			}
		}
	}
	var lone []string
	for i, s := range claimed {
		if s == nil {
			lone = append(lone, fmt.Sprintf("listener %q (%s) has no socket", listeners[i].Name, listeners[i].Address))
		}
	}
	for _, s := range free {
		lone = append(lone, s.describe()+" has no listener")
	}
	if len(lone) > 0 {
		return nil, fmt.Errorf("the service manager handed over sockets, and each listener needs one with its address, or with its name in LISTEN_FDNAMES, and each socket a listener: %s", strings.Join(lone, "; "))
	}
	return claimed, nil
}

func (s *Socket) hasAddress(l *mpm.Listener) bool {
	if path, ok := l.UnixPath(); ok {
		return s.isUnix() && s.Bound.String() == path
	}
	_, addr, err := keyOf(l)
	bound, ok := s.Bound.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	return bound.AddrPort() == netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port())
}

func (s *Socket) hasName(l *mpm.Listener) bool {
	_, unix := l.UnixPath()
	return s.passedName != "" && s.passedName == l.Name && s.isUnix() == unix
}
