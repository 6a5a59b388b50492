package mpm

import "strconv"

// State is what a slot of the scoreboard is doing. The numbers are those of
// the scoreboard of Apache httpd's prefork model, so that tools which know them
// read ours.
type State uint32

// The states of a slot.
const (
	StateDead      State = 0  // no process
	StateStarting  State = 1  // spawned, not ready yet
	StateReady     State = 2  // waiting for a connection
	StateReading   State = 3  // reading a request
	StateWriting   State = 4  // serving it
	StateKeepalive State = 5  // waiting for the next request of a connection
	StateLogging   State = 6  // writing the access log
	StateDNS       State = 7  // looking up a name (never used here)
	StateClosing   State = 8  // closing a connection
	StateGraceful  State = 9  // finishing what it serves, then leaving
	StateIdleKill  State = 10 // chosen to leave because too many are idle
)

// String gives the state's name in lower case.
func (s State) String() string {
	names := [...]string{
		"dead", "starting", "ready", "reading", "writing", "keepalive",
		"logging", "dns", "closing", "graceful", "idle-kill",
	}
	if int(s) < len(names) {
		return names[s]
	}
	return "state(" + strconv.FormatUint(uint64(s), 10) + ")"
}

// Letter is the state's letter on a scoreboard, as Apache httpd has them.
func (s State) Letter() byte {
	const letters = ".S_RWKLDCGI"
	if int(s) < len(letters) {
		return letters[s]
	}
	return '?'
}

// Busy reports whether a child in this state is serving a connection.
func (s State) Busy() bool {
	return s >= StateReading && s <= StateClosing
}
