// Package scoreboard is the memory that children share with the master: one
// page for each slot, in a memfd of its own, which only the master and the
// child that owns the slot map.
//
// A child can therefore lie about itself and about nobody else. The master
// takes a slot's bytes for what they are, a child's word: they tell idle from
// busy and feed statistics, while pids, generations and life and death come
// from the master's private table.
//
// The layout of a page, integers in host byte order, each aligned to its
// size:
//
//	0   uint32  magic, 0x61706273
//	4   uint32  layout version, 1
//	8   uint32  state, one of mpm.State
//	12  uint32  unused
//	16  uint64  connections served by this child
//	24  uint64  connections served by this slot since the master started
package scoreboard

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

const (
	magic     = 0x61706273
	version   = 1
	pageBytes = 4096
)

type page struct {
	magic, version uint32
	state          atomic.Uint32
	_              uint32
	childConns     atomic.Uint64
	slotConns      atomic.Uint64
}

// Slot is one mapped page. Its methods may be called by many goroutines and
// by the processes that share it.
type Slot struct {
	fd   sys.FD
	mem  []byte
	page *page
}

// New makes a slot, dead. The memfd's size is sealed, so that no child can
// shrink it under the master.
func New(number int) (*Slot, error) {
	fd, err := sys.Memfd(fmt.Sprintf("apphost-slot-%d", number), pageBytes)
	if err != nil {
		return nil, err
	}
	if err := fd.Seal(sys.SizeSeals); err != nil {
		_ = fd.Close()
		return nil, err
	}
	s, err := mapSlot(fd)
	if err != nil {
		_ = fd.Close()
		return nil, err
	}
	s.page.magic, s.page.version = magic, version
	return s, nil
}

// Attach maps a slot that was inherited. The slot owns fd from then on.
func Attach(fd sys.FD) (*Slot, error) {
	if !fd.HasSeals(sys.SizeSeals) {
		return nil, errors.New("attach slot: it is not a memfd of sealed size")
	}
	if size, err := fd.Size(); err != nil || size != pageBytes {
		return nil, fmt.Errorf("attach slot: it has %d bytes, want %d", size, pageBytes)
	}
	s, err := mapSlot(fd)
	if err != nil {
		return nil, err
	}
	if s.page.magic != magic || s.page.version != version {
		_ = sys.Unmap(s.mem)
		return nil, errors.New("attach slot: it is not a slot of this version")
	}
	return s, nil
}

func mapSlot(fd sys.FD) (*Slot, error) {
	mem, err := fd.Map(pageBytes, true)
	if err != nil {
		return nil, err
	}
	return &Slot{fd: fd, mem: mem, page: sys.At[page](mem)}, nil
}

// FD is the slot's descriptor, to hand to the child that will own it.
func (s *Slot) FD() sys.FD { return s.fd }

// State is what the owner says it is doing. A number that is no state counts
// as mpm.StateWriting: a child that lies is at least not idle.
func (s *Slot) State() mpm.State {
	state := mpm.State(s.page.state.Load())
	if state > mpm.StateIdleKill {
		return mpm.StateWriting
	}
	return state
}

// SetState says what the owner is doing.
func (s *Slot) SetState(state mpm.State) { s.page.state.Store(uint32(state)) }

// Reset prepares the slot for a new owner: starting, nothing served.
func (s *Slot) Reset() {
	s.page.childConns.Store(0)
	s.SetState(mpm.StateStarting)
}

// CountConn counts one connection served.
func (s *Slot) CountConn() {
	s.page.childConns.Add(1)
	s.page.slotConns.Add(1)
}

// Conns is how many connections the present owner and, over its whole life,
// the slot have served.
func (s *Slot) Conns() (child, slot uint64) {
	return s.page.childConns.Load(), s.page.slotConns.Load()
}

// Close unmaps the slot and closes its descriptor.
func (s *Slot) Close() error {
	return errors.Join(sys.Unmap(s.mem), s.fd.Close())
}
