//go:build unix && !race

package apphosttest

// buildFlags build the server as a user does.
var buildFlags []string

// Race says that the server is built with the race detector, as the tests are.
const Race = false
