package repo_test

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestRulesBite gives each rule a small tree that breaks it once, and wants
// exactly one fault that says where and what.
func TestRulesBite(t *testing.T) {
	const doc = "// Package p is.\npackage p\n"
	mustNot := edge{from: "./a/...", to: "./b/...", but: []string{"./b/ok"}, why: "walls"}
	direct := edge{from: "./a/...", to: "unsafe", direct: true, why: "rooms"}
	tests := []struct {
		name  string
		rule  func(*tree) []string
		files map[string]string
		edges []edge
		want  string // part of the one fault; "" for none
	}{
		{"import", checkEdges, map[string]string{
			"a/a.go": "package a\nimport _ \"" + module + "/b\"", "b/b.go": "package b", "b/ok/b.go": "package b",
		}, []edge{mustNot}, "a/a.go:2: ./a imports ./b: walls"},
		{"import through a third", checkEdges, map[string]string{
			"a/a.go": "package a\nimport _ \"" + module + "/c\"", "c/c.go": "package c\nimport _ \"" + module + "/b\"",
			"b/b.go": "package b", "b/ok/b.go": "package b",
		}, []edge{mustNot}, "a/a.go:2: ./a imports ./c, which imports ./b: walls"},
		{"import excused", checkEdges, map[string]string{
			"a/a.go": "package a\nimport _ \"" + module + "/b/ok\"", "b/ok/b.go": "package b",
			"a/a_test.go": "package a\nimport _ \"" + module + "/b\"",
		}, []edge{mustNot}, ""},
		{"direct import", checkEdges, map[string]string{"a/a.go": "package a\nimport \"unsafe\""}, []edge{direct}, "rooms"},
		{"direct import of another", checkEdges, map[string]string{
			"a/a.go": "package a\nimport _ \"" + module + "/c\"", "c/c.go": "package c\nimport \"unsafe\"",
		}, []edge{direct}, ""},
		{
			"third party", checkEdges,
			map[string]string{"a/a.go": "package a\nimport _ \"example.com/x\"\nimport _ \"net/http\""},
			[]edge{{from: "./a", to: thirdParty, why: "none"}},
			"imports example.com/x: none",
		},
		{"renamed package", checkEdges, map[string]string{"a/a.go": "package a"}, []edge{{from: "./a", to: "./gone"}}, "no package matches ./gone"},
		{"environment", checkNames, map[string]string{"host/a.go": "package host\nimport \"os\"\nvar _ = os.Getenv(\"X\")"}, nil, "host/a.go:3: os.Getenv"},
		{"environment in cmd", checkNames, map[string]string{"cmd/x/a.go": "package x\nimport \"os\"\nvar _ = os.Getenv(\"X\")"}, nil, ""},
		{"system call", checkNames, map[string]string{"mpm/a.go": "package mpm\nimport \"syscall\"\nvar _ = syscall.Fork"}, nil, "mpm/a.go:3: syscall.Fork"},
		{"system number", checkNames, map[string]string{"mpm/a.go": "package mpm\nimport \"syscall\"\nvar _, _ = syscall.EAGAIN, syscall.SIGTERM"}, nil, ""},
		{"vague name", checkPackageNames, map[string]string{"a/util/a.go": "package util"}, nil, `a/util/a.go:1: package "util"`},
		{"no package comment", checkPackageDocs, map[string]string{"p/a.go": "package p"}, nil, "./p: no package comment"},
		{"two package comments", checkPackageDocs, map[string]string{"p/a.go": doc, "p/b.go": doc}, nil, "p/a.go and p/b.go"},
		{"package comment of another", checkPackageDocs, map[string]string{"p/a.go": "// Package q is.\npackage p"}, nil, `"Package p "`},
		{"sleep", checkSleep, map[string]string{"p/a_test.go": "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, nil, "p/a_test.go:3: time.Sleep"},
		{"sleep in a test's package", checkSleep, map[string]string{"ptest/a.go": "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"}, nil, "time.Sleep"},
		{"panic", checkPanic, map[string]string{"p/a.go": "package p\nfunc (*T) f() { panic(\"no\") }"}, nil, `allow "panic p/a.go T.f"`},
		{"panic of a bug", checkPanic, map[string]string{"p/a.go": "package p\nfunc f() { panic(fmt.Sprintf(\"BUG: %d\", 1)) }"}, nil, ""},
		{"panic in a guest", checkPanic, map[string]string{"sdk/a.go": "package sdk\nfunc f() { panic(\"no\") }"}, nil, ""},
		{"long function", checkLength, map[string]string{"p/a.go": "package p\nfunc f() {" + strings.Repeat("\n", funcLinesMax) + "}"}, nil, "f has 71 lines"},
		{"long enough function", checkLength, map[string]string{"p/a.go": "package p\nfunc f() {" + strings.Repeat("\n", funcLinesMax-1) + "}"}, nil, ""},
		{"long file", checkLength, map[string]string{"p/a.go": "package p" + strings.Repeat("\n", fileLinesMax+1)}, nil, "401 lines"},
		{"hidden fuzz target", checkFuzz, map[string]string{
			"p/a_test.go": "//go:build gofuzz\n\npackage p\nfunc FuzzX() {}", ".ci/run": fuzzScript, "Justfile": fuzzScript,
		}, nil, `FuzzX behind "//go:build gofuzz"`},
		{"fuzz target without a runner", checkFuzz, map[string]string{"p/a_test.go": "package p\nfunc FuzzX() {}", ".ci/run": fuzzScript}, nil, "Justfile: does not run"},
		{"large file", checkSize, map[string]string{"a.wasm": strings.Repeat("x", fileBytesMax+1)}, nil, "a.wasm: 262145 bytes"},
		{"unfinished", checkUnfinished, map[string]string{"a.md": "fine\nTO" + "DO: x"}, nil, "a.md:2: "},
		{"owed and there", checkOwed, map[string]string{"owed/a.go": "package p"}, nil, "./owed exists"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantFault(t, tt.rule(sample(t, tt.files, tt.edges)), tt.want)
		})
	}
}

// TestTextRulesBite is TestRulesBite for the rules about texts.
func TestTextRulesBite(t *testing.T) {
	const changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a\n  b\n"
	tests := []struct {
		name string
		rule func(*tree) []string
		file string
		text string
		want string
	}{
		{"file that is gone", checkArchitecture, "ARCHITECTURE.md", "See `p/gone.go`.", "ARCHITECTURE.md:1: there is no p/gone.go"},
		{"folder that is gone", checkArchitecture, "ARCHITECTURE.md", "See\n`gone/`.", "ARCHITECTURE.md:2: there is no gone/"},
		{"test that is gone", checkArchitecture, "ARCHITECTURE.md", "Held by `TestGone`.", "there is no test TestGone"},
		{"what is there", checkArchitecture, "ARCHITECTURE.md", "`p/a.go`, `a.go`, `p`, `p/`, `log/slog`, `golang.org/x/sys`, `/NAME/`, `NAME.wasm`, `x.y()`, `TestThere`", ""},
		{"invariant without a test", checkInvariants, "ARCHITECTURE.md", "# A\n- a\n## Invariants\nSee:\n- b `TestX`\n- c\n  `x`\n\n`TestX`\n## B\n- d", "ARCHITECTURE.md:6: an invariant without a test"},
		{"invariants with tests", checkInvariants, "ARCHITECTURE.md", "## Invariants\n- a:\n  `FuzzX`\n- b `TestX`", ""},
		{"recipe that is gone", checkCommands, "README.md", "```\njust gone\n```", `README.md:2: "just gone": there is no recipe gone`},
		{"package that is gone", checkCommands, "README.md", "```\n$ go build ./gone\n```", "there is no ./gone"},
		{"configuration that is gone", checkCommands, "README.md", "```\ngo vet -c gone.toml # comment\n```", "there is no gone.toml"},
		{"command that CI does not run", checkCommands, "README.md", "```\ngo test ./p\n```", "is run by nothing"},
		{"commands that are there", checkCommands, "README.md", "```\njust try\njust -l\ngo run ./p -c p.toml\n```", ""},
		{"link that is gone", checkLinks, "p/README.md", "[a](gone.md)", "p/README.md:1: link gone.md"},
		{"heading that is gone", checkLinks, "p/README.md", "# Here\n[a](#there)", "link #there"},
		{"links that are there", checkLinks, "p/README.md", "# It's *here*, now\n[a](#its-here-now) [b](a.go) [c](../Justfile) [d](https://x.y/z)", ""},
		{"changelog", checkChangelog, "CHANGELOG.md", changelog + "\n## [1.0.0] - 2026-01-02\n\n### Fixed\n\n- c\n", ""},
		{"changelog without unreleased", checkChangelog, "CHANGELOG.md", "# Changelog\n\n## [1.0.0] - 2026-01-02\n", "first section"},
		{"changelog without a date", checkChangelog, "CHANGELOG.md", changelog + "## 1.0.0\n", "a release is"},
		{"changelog of another kind", checkChangelog, "CHANGELOG.md", changelog + "### Improved\n", "a kind is one of"},
		{"changelog without bullets", checkChangelog, "CHANGELOG.md", changelog + "text\n", "an entry starts with"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{
				"p/a.go": "package p", "p/a_test.go": "package p\nfunc TestThere() {}", "p.toml": "",
				"Justfile": "x := '1'\n# Try it.\ntry time='1m': dep\n\tgo vet\n", ".ci/run": "go run ./p -c p.toml",
				"ARCHITECTURE.md": "", "CONTRIBUTING.md": "", "RATIONALE.md": "", "README.md": "",
			}
			files[tt.file] = tt.text
			wantFault(t, tt.rule(sample(t, files, nil)), tt.want)
		})
	}
}

func sample(t *testing.T, files map[string]string, edges []edge) *tree {
	t.Helper()
	fsys := fstest.MapFS{}
	var names []string
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		names = append(names, name)
	}
	tr, err := load(fsys, names)
	if err != nil {
		t.Fatal(err)
	}
	tr.edges, tr.owed = edges, []string{"./owed", "./b", "./b/ok"}
	return tr
}

func wantFault(t *testing.T, faults []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(faults) > 0:
		t.Errorf("unexpected faults:\n%s", strings.Join(faults, "\n"))
	case want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)):
		t.Errorf("want one fault with %q, got:\n%s", want, strings.Join(faults, "\n"))
	}
}
