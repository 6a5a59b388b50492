//go:build !wasip1

package httpguest

import "sync/atomic"

// config is the configuration of this process's stand-in for the server: a
// guest's code reaches its host without a handle, so here too it is found in
// a variable of the package.
var config atomic.Pointer[[]byte]

// SetConfig makes json what Config returns, and returns what it was.
func SetConfig(json []byte) (before []byte) {
	if p := config.Swap(&json); p != nil {
		return *p
	}
	return nil
}

// Config is the plugin's configuration, a JSON object; empty if there is none.
func Config() []byte {
	if p := config.Load(); p != nil {
		return *p
	}
	return nil
}
