//go:build unix && !race

package apphosttest

// buildFlags build the server as a user does.
var buildFlags []string
