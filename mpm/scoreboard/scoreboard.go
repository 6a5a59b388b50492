// Package scoreboard is the memory that children share with the master: a slot
// for each child, in a memfd of its own, which only the master and the child
// that owns the slot map.
//
// A child can therefore lie about itself and about nobody else. The master
// takes a slot's bytes for what they are, a child's word: they tell idle from
// busy and feed statistics, while pids, generations and life and death come
// from the master's private table.
//
// A slot has a record of its process, and then one for each of its threads,
// which is what serves one connection at a time. Integers are in host byte
// order, each aligned to its size; times are nanoseconds of CLOCK_MONOTONIC.
//
//	0    uint32  magic, 0x61706273
//	4    uint32  layout version, 5
//	8    uint32  threads
//	12   uint32  state of the process, one of mpm.State
//	16   uint32  1 while the master wants to be told when a thread runs code
//	20   uint32  codes
//	24   uint32  failures of all codes; it wraps
//	28   unused
//	128  320 bytes for each thread:
//	  0    uint32   state, one of mpm.State
//	  4    uint32   sequence: odd while the strings are written
//	  8    counters of this owner
//	  40   uint64   when the last request began, or the connection
//	  48   uint64   when the last one was finished
//	  56   uint64   number of the run: odd while code runs that may not come back
//	  64   uint8 ×4 lengths of the four strings
//	  68   unused
//	  72   48 bytes client's address
//	  120  56 bytes listener's name
//	  176  64 bytes method, space, target of the request
//	  240  16 bytes protocol
//	  256  uint64   how long that code may run, in nanoseconds; 0 is without bound
//	  264  uint8    length of its name
//	  265  47 bytes name of the code
//
// and behind the threads a uint64 for each code: how often it has failed.
//
// Counters are four uint64: connections and requests that are finished, bytes
// sent for them, nanoseconds they took.
package scoreboard

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/internal/sys"
)

// Slot is one mapped slot. Its methods may be called by many goroutines and
// by the processes that share it.
type Slot struct {
	fd      sys.FD
	mem     []byte
	process *process
	threads []Thread
	codes   []*atomic.Uint64
	ring    func()
}

// New makes a slot of so many threads, from 1 to ThreadsMax, for so many codes,
// dead. The memfd's size is sealed, so that no child can shrink it under the master.
func New(number, threads, codes int) (*Slot, error) {
	if threads < 1 || threads > ThreadsMax || codes < 0 {
		return nil, fmt.Errorf("make slot: it cannot have %d threads and %d codes", threads, codes)
	}
	size := slotBytes(threads, codes)
	fd, err := sys.Memfd(fmt.Sprintf("apphost-slot-%d", number), int64(size))
	if err != nil {
		return nil, err
	}
	if err := fd.Seal(sys.SizeSeals); err != nil {
		_ = fd.Close()
		return nil, err
	}
	mem, err := fd.Map(size, true)
	if err != nil {
		_ = fd.Close()
		return nil, err
	}
	p := sys.At[process](mem)
	p.magic, p.version, p.threads, p.codes = magic, version, uint32(threads), uint32(codes)
	return view(fd, mem, threads, codes), nil
}

// Attach maps a slot that was inherited, which must have so many threads and
// codes. The slot owns fd from then on.
func Attach(fd sys.FD, threads, codes int) (*Slot, error) {
	if !fd.HasSeals(sys.SizeSeals) {
		return nil, errors.New("attach slot: it is not a memfd of sealed size")
	}
	if threads < 1 || threads > ThreadsMax || codes < 0 {
		return nil, fmt.Errorf("attach slot: it cannot have %d threads and %d codes", threads, codes)
	}
	want := slotBytes(threads, codes)
	if size, err := fd.Size(); err != nil || size != int64(want) {
		return nil, fmt.Errorf("attach slot: it has %d bytes, want %d", size, want)
	}
	mem, err := fd.Map(want, true)
	if err != nil {
		return nil, err
	}
	if p := sys.At[process](mem); p.magic != magic || p.version != version || p.threads != uint32(threads) || p.codes != uint32(codes) {
		_ = sys.Unmap(mem)
		return nil, errors.New("attach slot: it is not a slot of this version")
	}
	return view(fd, mem, threads, codes), nil
}

// view remembers how many threads and codes there are: what the memory says may
// change.
func view(fd sys.FD, mem []byte, threads, codes int) *Slot {
	s := &Slot{
		fd: fd, mem: mem, process: sys.At[process](mem), threads: make([]Thread, threads), codes: make([]*atomic.Uint64, codes),
	}
	for i := range s.threads {
		s.threads[i].thread, s.threads[i].slot = sys.At[thread](mem[processBytes+i*threadBytes:]), s
	}
	for i := range s.codes {
		s.codes[i] = sys.At[atomic.Uint64](mem[processBytes+threads*threadBytes+i*failureBytes:])
	}
	return s
}

// FD is the slot's descriptor, to hand to the child that will own it.
func (s *Slot) FD() sys.FD { return s.fd }

// Threads is how many threads the slot has.
func (s *Slot) Threads() int { return len(s.threads) }

// Thread is the record of one thread, from 0.
func (s *Slot) Thread(i int) *Thread { return &s.threads[i] }

// State is what the owner says it is doing. While it serves, it is ready if any
// of its threads is, and otherwise does what its first thread does.
func (s *Slot) State() mpm.State {
	if state, serves := s.owner(); !serves {
		return state
	}
	for i := range s.threads {
		if s.threads[i].State() == mpm.StateReady {
			return mpm.StateReady
		}
	}
	return s.threads[0].State()
}

// owner is what the owner as a whole is doing. What is no such state counts as
// serving: then its threads tell.
func (s *Slot) owner() (state mpm.State, serves bool) {
	switch state = mpm.State(s.process.state.Load()); state {
	case mpm.StateDead, mpm.StateStarting, mpm.StateGraceful:
		return state, false
	}
	return mpm.StateReady, true
}

// SetState says what the owner as a whole is doing: mpm.StateStarting,
// mpm.StateReady while its threads say the rest, or mpm.StateGraceful.
func (s *Slot) SetState(state mpm.State) { s.process.state.Store(uint32(state)) }

// Count is how many threads are ready for a connection, by the owner's word,
// and how many serve one. An owner that leaves has none that are ready.
func (s *Slot) Count() (ready, busy int) {
	_, serves := s.owner()
	for i := range s.threads {
		switch state := s.threads[i].State(); {
		case state.Busy():
			busy++
		case state == mpm.StateReady && serves:
			ready++
		}
	}
	return ready, busy
}

// Reset prepares the slot for a new owner: starting, nothing served.
func (s *Slot) Reset() {
	s.SetState(mpm.StateStarting)
	s.process.bell.Store(0)
	for i := range s.threads {
		s.threads[i].reset()
	}
	s.process.failures.Store(0)
	for _, c := range s.codes {
		c.Store(0)
	}
}

// Served is how many connections and requests the owner has finished.
func (s *Slot) Served() uint64 {
	var n uint64
	for i := range s.threads {
		n += s.threads[i].count.conns.Load() + s.threads[i].count.requests.Load()
	}
	return n
}

// Close unmaps the slot and closes its descriptor.
func (s *Slot) Close() error {
	return errors.Join(sys.Unmap(s.mem), s.fd.Close())
}
