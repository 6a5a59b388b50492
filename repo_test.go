// Package repo_test holds the rules of this repository: who may import whom
// (this file), what code looks like (repo_tidy_test.go), what the texts may
// claim (repo_docs_test.go) and what is here of the classic prefork model
// (parity_test.go). A rule is a function from a tree of files to a list of
// faults, so that repo_rules_test.go and parity_test.go can show each one
// biting.
package repo_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/apphost/apphost"

// owed names the packages and files that rules speak of and that are not
// written yet. An entry that exists is a fault: take it off.
var owed = []string{}

// edge is a forbidden import. Our packages are written as Go patterns from
// the root ("./mpm/..."), others by their import path, and thirdParty is
// every module that is not ours. Tests, and packages for tests by their name
// such as "apphosttest", are not bound: they may build guests, run processes
// and serve a plugin.
type edge struct {
	from, to string
	except   []string // packages of from the edge does not bind
	but      []string // packages of to that are fine
	direct   bool     // bind what from names itself, not what that leads to
	why      string
}

const thirdParty = "third-party"

var edges = []edge{
	{from: "./mpm/...", to: "./host/...", why: "a model serves connections and does not know what a plugin is; it sees mpm.ConnHandler"},
	{from: "./mpm/...", to: "./sdk/...", why: "the SDK is for guests"},
	{from: "./mpm/...", to: "github.com/tetratelabs/wazero/...", why: "the master never touches wasm; the engine lives in host"},
	{from: "./mpm/...", to: "github.com/BurntSushi/toml", why: "the master never parses TOML; it takes mpm.Options"},
	{from: "./mpm/...", to: "github.com/valyala/fasthttp/...", why: "a model moves bytes; HTTP is host/web"},
	{from: "./mpm", to: "./mpm/...", why: "the contract stands below the models"},
	{from: "./mpm", to: "os", why: "the contract makes no system calls"},
	{from: "./mpm", to: "syscall", why: "the contract makes no system calls"},

	{from: "./host/...", to: "./mpm/...", but: []string{"./mpm"}, why: "a host serves whatever the model hands over; it knows the contract only"},
	{from: "./host/...", to: "./sdk/...", but: []string{"./sdk/abi"}, why: "the SDK is for guests; only the ABI's constants are shared"},
	{from: "./host/...", to: "os/exec", why: "a child never starts a process"},
	{from: "./host/...", to: "github.com/BurntSushi/toml", why: "a child never parses configuration; it takes host.Config"},
	{from: "./host/exchange", to: "./...", why: "the seam holds no code"},
	{from: "./host/web", to: "./host/abi/...", why: "host/exchange stands between HTTP and what answers it"},
	{from: "./host/web", to: "./host/guest", why: "host/exchange stands between HTTP and what answers it"},
	{from: "./host/web", to: "github.com/tetratelabs/wazero/...", why: "HTTP does not know that a guest answers"},
	{from: "./host/abi/...", to: "./host/web", why: "host/exchange stands between HTTP and what answers it"},
	{from: "./host/abi/...", to: "github.com/valyala/fasthttp/...", why: "an ABI speaks host/exchange, so that HTTP/2 needs no second copy"},
	{from: "./host/abi/conn", to: "./host/abi/httpwasm", why: "each guest ABI stands alone"},
	{from: "./host/abi/httpwasm", to: "./host/abi/conn", why: "each guest ABI stands alone"},
	{from: "./host/abi/command", to: "./host/abi/conn", why: "each guest ABI stands alone"},
	{from: "./host/abi/command", to: "./host/abi/httpwasm", why: "each guest ABI stands alone"},

	{from: "./sdk/...", to: "./...", but: []string{"./sdk/..."}, why: "a guest must not link the server"},
	{from: "./sdk/...", to: thirdParty, why: "a handler's author gets no dependencies from the SDK"},
	{from: "./sdk/...", to: "net/http", why: "it adds megabytes to every guest; the SDK has small types of its own"},
	{from: "./examples/...", to: "./...", but: []string{"./examples/...", "./sdk/..."}, why: "an example is what a handler's author could have written"},

	{from: "./...", except: []string{"./cmd/..."}, to: "./cmd/...", why: "cmd is wiring; nothing builds on it"},
	{from: "./...", except: []string{"./cmd/...", "./bench/..."}, to: "flag", why: "only commands have flags"},
	{from: "./...", except: []string{"./cmd/..."}, to: "github.com/spf13/cobra", why: "only cmd has flags"},
	{from: "./...", except: []string{"./cmd/..."}, to: "github.com/spf13/pflag", why: "only cmd has flags"},
	{from: "./...", except: []string{"./cmd/..."}, to: "github.com/lmittmann/tint", why: "only cmd chooses how logs look; others take a *slog.Logger"},
	{from: "./cmd/...", except: []string{"./cmd/apphost/internal/config", "./cmd/apphost/internal/wagi"}, to: "github.com/BurntSushi/toml", direct: true, why: "each file format is known in one package"},

	{from: "./...", except: systemRooms, to: "golang.org/x/sys/...", direct: true, why: "system calls have one room per side: mpm/internal and host/internal"},
	{from: "./...", except: append([]string{"./sdk/..."}, systemRooms...), to: "unsafe", direct: true, why: "unsafe has one room per side, mpm/internal and host/internal; a guest's SDK passes pointers by nature"},
}

// systemRooms are the packages that make system calls.
var systemRooms = []string{"./mpm/internal/...", "./host/internal/..."}

// names are identifiers of the standard library that only some packages may
// use, as regular expressions over "importpath.Name".
var names = []struct {
	name   *regexp.Regexp
	but    *regexp.Regexp // names that are fine
	except []string       // packages that are not bound
	why    string
}{
	{
		name:   regexp.MustCompile(`^os\.(Exit|Args|Getenv|LookupEnv|Environ|Setenv|Unsetenv|Clearenv|ExpandEnv)$`),
		except: []string{"./cmd/...", "./bench/..."},
		why:    "only cmd reads flags and the environment and ends the process; a benchmark is a command, too",
	},
	{
		name:   regexp.MustCompile(`^log\.`),
		except: []string{"./sdk/...", "./examples/..."},
		why:    "logs go through log/slog, to the logger that was handed over",
	},
	{
		name:   regexp.MustCompile(`^syscall\.`),
		but:    regexp.MustCompile(`\.(Errno|Signal|E[A-Z0-9]+|SIG[A-Z0-9]+|Conn|RawConn|WaitStatus)$`),
		except: append([]string{"./sdk/..."}, systemRooms...),
		why:    "numbers and plain data are fine, system calls have one room per side: mpm/internal and host/internal",
	},
}

// allow lists what a rule would refuse, and why it stands. The faults name
// their key. An entry that excuses nothing is a fault.
var allow = map[string]string{
	"names cmd/apphosttest/apphosttest.go syscall.SysProcAttr":      "tests start the server as another user, or on another terminal",
	"names cmd/apphosttest/apphosttest.go syscall.Credential":       "the same",
	"names bench/internal/launch/process.go syscall.SysProcAttr":    "a benchmark's servers must not share its process group, nor outlive it",
	"names cmd/apphost/internal/control/control.go syscall.Flock":   "one lock on the folder of sockets is no reason for a third room of system calls",
	"names cmd/apphost/internal/control/control.go syscall.LOCK_EX": "the same",
	"names cmd/apphost/internal/control/control.go syscall.Stat_t":  "the owner of a folder is plain data that package os hands out in this type only",
	"names host/guest/owner_unix.go syscall.Stat_t":                 "the same",
	"names host/web/static/static.go syscall.O_NONBLOCK":            "a flag for os.Root.OpenFile, which has no name of its own for it",
	"panic host/guest/guard.go Guard.EndOvertime":                   "likewise: see Abort",
	"panic host/guest/failure.go Abort":                             "the engine unwinds a guest from a host function by a Go panic only, and recovers it itself",
	"panic host/guest/failure.go Stop":                              "the engine unwinds a guest from a host function by a Go panic only, and recovers it itself",
	"panic host/guest/wasi.go exit":                                 "the same: proc_exit does not return to its guest",
}

// TestRepository applies every rule to this repository.
func TestRepository(t *testing.T) {
	tr, err := loadRepository()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, fault := range r.check(tr) {
				t.Error(fault)
			}
		})
	}
	t.Run("allow", func(t *testing.T) {
		for _, r := range rules {
			r.check(tr) // the subtests may have been filtered
		}
		for key := range tr.allow {
			if !tr.used[key] && len(tr.owed) == 0 { // what it excuses may be owed too
				t.Errorf("repo_test.go: allow %q excuses nothing: take it off", key)
			}
		}
	})
}

// rules are all rules, in the order of their faults.
var rules = []rule{
	{"owed", checkOwed},
	{"edges", checkEdges},
	{"names", checkNames},
	{"package name", checkPackageNames},
	{"package doc", checkPackageDocs},
	{"sleep", checkSleep},
	{"panic", checkPanic},
	{"length", checkLength},
	{"fuzz", checkFuzz},
	{"size", checkSize},
	{"unfinished", checkUnfinished},
	{"architecture", checkArchitecture},
	{"invariants", checkInvariants},
	{"commands", checkCommands},
	{"links", checkLinks},
	{"changelog", checkChangelog},
	{"parity", checkParity},
}

type rule struct {
	name  string
	check func(*tree) []string
}

// checkOwed refuses an owed entry that is paid.
func checkOwed(tr *tree) []string {
	var faults []string
	for _, name := range tr.owed {
		if tr.exists(strings.TrimPrefix(name, "./")) {
			faults = append(faults, fmt.Sprintf("repo_test.go: %s exists: take it off owed", name))
		}
	}
	return faults
}

// checkEdges refuses forbidden imports, and edges that name no package.
func checkEdges(tr *tree) []string {
	var faults []string
	for _, e := range tr.edges {
		for _, p := range slices.Concat([]string{e.from, e.to}, e.except, e.but) {
			if strings.HasPrefix(p, ".") && !tr.names(p) {
				faults = append(faults, fmt.Sprintf("repo_test.go: edge %s => %s: no package matches %s: rename or drop it", e.from, e.to, p))
			}
		}
		for _, pkg := range tr.packages() {
			if !match(e.from, pkg) || matchAny(e.except, pkg) || servesTests(pkg) {
				continue
			}
			if f := tr.trespass(e, pkg); f != "" {
				faults = append(faults, f)
			}
		}
	}
	return faults
}

// trespass walks the imports of pkg and describes the first forbidden one.
func (tr *tree) trespass(e edge, pkg string) string {
	type step struct{ pkg, trail string }
	seen := map[string]bool{pkg: true}
	for queue := []step{{pkg, ""}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, imp := range tr.imports(at.pkg) {
			if imp.path == pkg || seen[imp.path] {
				continue
			}
			seen[imp.path] = true
			trail := at.trail
			if trail == "" {
				trail = fmt.Sprintf("%s: %s imports %s", imp.pos, pkg, imp.path)
			} else {
				trail += ", which imports " + imp.path
			}
			if match(e.to, imp.path) && !matchAny(e.but, imp.path) {
				return trail + ": " + e.why
			}
			if !e.direct && strings.HasPrefix(imp.path, "./") {
				queue = append(queue, step{imp.path, trail})
			}
		}
	}
	return ""
}

// checkNames refuses identifiers outside of the packages that may use them.
func checkNames(tr *tree) []string {
	var faults []string
	for _, f := range tr.code() {
		for _, use := range f.uses() {
			for _, n := range names {
				if !n.name.MatchString(use.name) || matchAny(n.except, f.pkg()) ||
					n.but != nil && n.but.MatchString(use.name) ||
					tr.allowed("names "+f.path+" "+use.name) {
					continue
				}
				faults = append(faults, fmt.Sprintf("%s: %s: %s", tr.pos(use.pos), use.name, n.why))
			}
		}
	}
	return faults
}

// match reports whether pkg is one of pattern: exactly, below "X/...", or
// any foreign module for thirdParty.
func match(pattern, pkg string) bool {
	if pattern == thirdParty {
		first, _, _ := strings.Cut(pkg, "/")
		return first != "." && strings.Contains(first, ".")
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pkg == pattern
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg) })
}
