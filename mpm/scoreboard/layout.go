package scoreboard

import "sync/atomic"

const (
	magic   = 0x61706273
	version = 5
)

// ThreadsMax is the most threads that a slot can have.
const ThreadsMax = 20_000

// The longest strings of a thread, in bytes; what is longer is cut.
const (
	clientBytes   = 48
	listenerBytes = 56
	requestBytes  = 64
	protocolBytes = 16
	codeBytes     = 47
)

const (
	processBytes = 128
	threadBytes  = 320
	pageBytes    = 4096
)

// process is the head of a slot, processBytes long.
type process struct {
	magic, version uint32
	threads        uint32
	state          atomic.Uint32
	bell           atomic.Uint32 // 1: whoever runs code next is to ring
	codes          uint32
	failures       atomic.Uint32 // of all codes together; it may wrap
	_              [100]byte
}

// thread is the record of one thread, threadBytes long.
type thread struct {
	state    atomic.Uint32
	sequence atomic.Uint32 // odd while text is written
	count    counters      // of this owner
	start    atomic.Uint64
	stop     atomic.Uint64
	runs     atomic.Uint64 // odd while code runs that may not come back
	text     text
	code     code
}

// code is what runs.
type code struct {
	budget  atomic.Uint64 // how long it may, in nanoseconds; 0 is without bound
	nameLen uint8
	name    [codeBytes]byte
	_       [8]byte
}

// counters are of finished connections and requests.
type counters struct {
	conns, requests, bytes, duration atomic.Uint64
}

// text is what a thread says of the connection and the request at hand.
type text struct {
	clientLen, listenerLen, requestLen, protocolLen uint8
	_                                               [4]byte
	client                                          [clientBytes]byte
	listener                                        [listenerBytes]byte
	request                                         [requestBytes]byte
	protocol                                        [protocolBytes]byte
}

// failureBytes is what a code's failures take, a uint64.
const failureBytes = 8

// slotBytes is the size of a slot with so many threads and codes, in whole pages.
func slotBytes(threads, codes int) int {
	n := processBytes + threads*threadBytes + codes*failureBytes
	return (n + pageBytes - 1) / pageBytes * pageBytes
}
