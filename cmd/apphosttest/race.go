//go:build unix && race

package apphosttest

// buildFlags build the server with the race detector when the tests have it.
var buildFlags = []string{"-race"}
