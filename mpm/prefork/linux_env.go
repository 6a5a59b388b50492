package prefork

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/apphost/apphost/mpm"
)

// environment is what children and candidates get: ours and the handshake.
// What a service manager addressed to the master is not for them.
func environment(own []string) []string {
	var env []string
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", handshakeEnv, privilegesEnv, takeoverEnv, upgradeEnv:
		default:
			env = append(env, kv)
		}
	}
	return append(env, handshakeEnv+"="+handshakeVersion)
}

// withProcessors adds what a child's runtime is to know when it starts: one
// connection at a time needs one processor, and more would only add threads to
// keep awake. An operator's own setting counts. It is no call at run time,
// because that stops the world, which waits on timers, which are slack.
func withProcessors(env []string, n int) []string {
	const name = "GOMAXPROCS="
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name) }) {
		return env
	}
	return append(slices.Clone(env), name+strconv.Itoa(n))
}

// crewEnvironment leaves a child of the worker model all processors. It needs
// two: the goroutine that accepts waits in a system call, which keeps a
// processor from the others for up to 10 ms.
func crewEnvironment(env []string) []string {
	if runtime.GOMAXPROCS(0) > 1 {
		return env
	}
	return withProcessors(env, 2)
}

// envOf is the environment of the children of a generation with options o.
func (l *linux) envOf(o *mpm.Options) []string {
	if o.Model.Threaded() {
		return l.crewEnv
	}
	return l.childEnv
}
