//go:build unix && !race

package apphosttest

// buildFlags build the server as a user does, but for what only debuggers read,
// which takes half of the time.
var buildFlags = []string{"-ldflags=-s -w"}

// Race says that the server is built with the race detector, as the tests are.
const Race = false
