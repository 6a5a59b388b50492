//go:build unix && race

package apphosttest

// buildFlags build the server with the race detector when the tests have it.
var buildFlags = []string{"-race", "-ldflags=-s -w"}

// Race says that the server is built with the race detector, as the tests are.
const Race = true
