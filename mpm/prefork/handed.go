package prefork

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/apphost/apphost/mpm/internal/sys"
)

// seal puts a state into a memfd for another program to read.
func (st *state) seal() (sys.FD, error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return sys.None, fmt.Errorf("encode state: %w", err)
	}
	fd, err := sys.Memfd("apphost-state", 0)
	if err != nil {
		return sys.None, err
	}
	for len(raw) > 0 && err == nil {
		var n int
		n, err = fd.Write(raw)
		raw = raw[n:]
	}
	if err == nil {
		err = fd.Seal(sys.AllSeals)
	}
	if err != nil {
		_ = fd.Close()
		return sys.None, fmt.Errorf("write state: %w", err)
	}
	return fd, nil
}

// readState reads what seal has written.
func readState(fd sys.FD) (*state, error) {
	size, err := fd.Size()
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if !fd.HasSeals(sys.AllSeals) || size == 0 || size > stateBytesMax {
		return nil, errors.New("read state: it is not a sealed memfd of moderate size")
	}
	mem, err := fd.Map(int(size), false)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	defer func() { _ = sys.Unmap(mem) }()
	return decodeState(mem)
}

// openState is readState where the descriptors are there, too.
func openState(fd sys.FD) (*state, error) {
	st, err := readState(fd)
	if err != nil {
		return nil, err
	}
	for _, fd := range st.descriptors() {
		if !fd.Open() {
			return nil, fmt.Errorf("check state: descriptor %d is not open", fd)
		}
	}
	return st, nil
}

// Takeover is what a program was handed by the one that this process ran
// before; see UpgradeConfig.Takeover.
type Takeover struct {
	// Owner is what UpgradeConfig.HandOver returned.
	Owner json.RawMessage

	state   *state
	handed  sys.FD // the memfd of state
	program sys.FD // who hands over
	env     []string
	early   chan os.Signal // what came before somebody listens
}

// TakeOver returns what was handed to this process, nil if nothing was.
// environment is the process's own.
//
// # Errors
//
// The other program, which was there before, is executed again if this one
// cannot take over; an error is what kept even that from being done.
func TakeOver(environment []string, pid int) (*Takeover, error) {
	at := slices.IndexFunc(environment, func(kv string) bool { return strings.HasPrefix(kv, takeoverEnv+"=") })
	if at < 0 {
		return nil, nil
	}
	var forPID int
	var protocol string
	var handed, program sys.FD
	value := strings.TrimPrefix(environment[at], takeoverEnv+"=")
	fields := strings.SplitN(value, " ", 5)
	if _, err := fmt.Sscan(value, &forPID, &protocol, &handed, &program); err != nil || forPID != pid {
		return nil, nil //nolint:nilerr // it is meant for another process
	}
	t := &Takeover{handed: handed, program: program, env: slices.Delete(slices.Clone(environment), at, at+1)}
	err := protocolError(protocol)
	if protocol == strconv.Itoa(takeoverProtocol) {
		t.state, err = openState(handed)
	}
	switch {
	case err == nil && len(fields) == 5:
		t.state.Failed = append(t.state.Failed, fields[4])
	case err != nil && len(fields) == 5:
		return nil, fmt.Errorf("take over what comes back: %w", err) // and nobody is left to turn to
	case err != nil:
		return nil, t.refuse(err)
	}
	t.Owner = t.state.Owner
	t.early = make(chan os.Signal, 64)
	signal.Notify(t.early, sys.Asked()...)
	if t.state.IgnoresHangups {
		signal.Ignore(syscall.SIGHUP)
	}
	return t, nil
}

// deliver sends this process again what came early, now that somebody listens.
func (t *Takeover) deliver() {
	signal.Stop(t.early)
	for {
		select {
		case sig := <-t.early:
			sys.Raise(sig.(syscall.Signal))
		default:
			return
		}
	}
}

// Refuse goes back to the program that handed over, for a reason. It returns
// only if that fails.
func (t *Takeover) Refuse(reason error) error {
	if len(t.state.Failed) > 0 {
		return fmt.Errorf("take over what comes back: %w", reason)
	}
	return t.refuse(reason)
}

func (t *Takeover) refuse(reason error) error {
	keep := []sys.FD{t.handed, t.program}
	args := []string{"apphost"}
	if t.state != nil {
		keep, args = append(keep, t.state.descriptors()...), t.state.Args
	}
	keep = slices.DeleteFunc(keep, func(fd sys.FD) bool { return !fd.Open() })
	signal.Ignore(syscall.SIGHUP) // as depart does
	if t.early != nil {
		t.deliver() // what ends a program ends this one
	}
	why := strings.Join(strings.Fields(reason.Error()), " ")
	env := append(slices.Clone(t.env), takeoverValue(t.handed, t.program)+" "+why)
	return errors.Join(reason, sys.Replace(t.program, args, env, slices.Compact(slices.Sorted(slices.Values(keep)))))
}

// takeoverValue is the assignment that hands over.
func takeoverValue(handed, program sys.FD) string {
	return fmt.Sprintf("%s=%d %d %d %d", takeoverEnv, os.Getpid(), takeoverProtocol, handed, program)
}
