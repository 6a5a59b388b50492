// Command apphost is an application server for handlers compiled to
// WebAssembly.
//
// One binary plays four roles, told apart by its first argument: the master
// (what a person starts, with the flags of cli.go, or what detached itself from
// that), the candidate that tries out a configuration, the child that serves
// connections, and the successor that checks whether this build can take over
// from another one. This package
// wires them: it is the only one that knows flags, the environment, the
// configuration file and exit codes, and the only one that imports both mpm
// and host.
package main

import (
	"os"
	"runtime"

	"github.com/apphost/apphost/mpm/prefork"
)

// Exit codes of the commands.
const (
	exitDone   = 0
	exitFailed = 1 // it could not be done; standard error says why
	exitUsage  = 2 // the command line makes no sense
)

// A child is killed with its master until it serves. The kernel keeps that
// with the thread the process began with, which is therefore the one that has
// to undo it (prefork.Child.Serve).
func init() {
	if os.Args[0] == prefork.RoleChild {
		runtime.LockOSThread()
	}
}

func main() {
	switch os.Args[0] {
	case prefork.RoleChild:
		os.Exit(runChild(os.Args))
	case prefork.RoleCandidate:
		os.Exit(runCandidate(os.Args))
	case prefork.RoleSuccessor:
		os.Exit(runSuccessor(os.Args))
	}
	if t, err := prefork.TakeOver(os.Environ(), os.Getpid()); t != nil || err != nil {
		os.Exit(runTakeover(t, err))
	}
	if os.Args[0] == prefork.RoleMaster {
		os.Exit(runDetached(os.Args))
	}
	os.Exit(runCLI(os.Args[1:], os.Stdout, os.Stderr))
}
