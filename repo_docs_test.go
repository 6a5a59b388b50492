package repo_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// line is one line of a Markdown file.
type line struct {
	pos    string // file:line
	text   string
	fenced bool // inside a code block
}

func lines(name, text string) []line {
	var all []line
	fenced := false
	n := 0
	for raw := range strings.Lines(text) {
		n++
		s := strings.TrimRight(raw, "\r\n")
		if strings.HasPrefix(strings.TrimSpace(s), "```") {
			fenced = !fenced
			continue
		}
		all = append(all, line{fmt.Sprintf("%s:%d", name, n), s, fenced})
	}
	return all
}

var (
	codeSpan     = regexp.MustCompile("`([^`]+)`")
	fileToken    = regexp.MustCompile(`^[\w.@-]+(/[\w.@-]+)*/?$`)
	fileEnding   = regexp.MustCompile(`\.(go|md|toml|wasm|c|h|ts|rs|yml|mod|sum)$`)
	testToken    = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	placeholder  = regexp.MustCompile(`(^|/)[A-Z]+(\.\w+)?$`)
	wellKnownDoc = regexp.MustCompile(`^[A-Z]+\.md$`)
)

// checkArchitecture wants the files and tests that these texts name in code
// spans to exist.
func checkArchitecture(tr *tree) []string {
	var faults []string
	tests := tr.testNames()
	for _, name := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "RATIONALE.md"} {
		text, ok := tr.text(name)
		if !ok {
			if !slices.Contains(tr.owed, name) {
				faults = append(faults, name+": missing: write it")
			}
			continue
		}
		for _, l := range lines(name, text) {
			if l.fenced {
				continue
			}
			for _, m := range codeSpan.FindAllStringSubmatch(l.text, -1) {
				if testToken.MatchString(m[1]) && !tests[m[1]] {
					faults = append(faults, fmt.Sprintf("%s: there is no test %s: name the one that holds this", l.pos, m[1]))
				}
				if tr.looksLikeFile(m[1]) && !tr.existsAnywhere(m[1]) {
					faults = append(faults, fmt.Sprintf("%s: there is no %s: name what is there now", l.pos, m[1]))
				}
			}
		}
	}
	return faults
}

// checkInvariants wants each invariant of ARCHITECTURE.md, an item of the list
// below that heading, to name a test. That the test exists is for
// checkArchitecture to see.
func checkInvariants(tr *tree) []string {
	text, ok := tr.text("ARCHITECTURE.md")
	if !ok {
		return nil
	}
	var faults []string
	inside, found, at := false, true, ""
	end := func() {
		if !found {
			faults = append(faults, at+": an invariant without a test: name the one that holds it")
		}
		found = true
	}
	for _, l := range lines("ARCHITECTURE.md", text) {
		item := strings.HasPrefix(l.text, "- ")
		if item || strings.TrimSpace(l.text) == "" || strings.HasPrefix(l.text, "#") {
			end()
		}
		if strings.HasPrefix(l.text, "## ") {
			inside = l.text == "## Invariants"
		}
		if item && inside {
			found, at = false, l.pos
		}
		found = found || slices.ContainsFunc(codeSpan.FindAllStringSubmatch(l.text, -1), func(m []string) bool {
			return testToken.MatchString(m[1])
		})
	}
	end()
	return faults
}

// looksLikeFile reports whether a code span means one of our files: a path
// below one of our top folders, a folder written with its slash, or a name
// with an ending we use. NAME.wasm and the like are placeholders.
func (tr *tree) looksLikeFile(span string) bool {
	if !fileToken.MatchString(span) || placeholder.MatchString(span) && !wellKnownDoc.MatchString(span) {
		return false
	}
	first, rest, deep := strings.Cut(span, "/")
	if deep && strings.Contains(strings.TrimPrefix(first, "."), ".") {
		return false // an import path
	}
	return fileEnding.MatchString(span) || deep && (rest == "" || tr.exists(first))
}

// existsAnywhere is exists for paths; a bare name may be in any folder.
func (tr *tree) existsAnywhere(span string) bool {
	span = strings.TrimPrefix(span, "./")
	owed := slices.ContainsFunc(tr.owed, func(name string) bool {
		return match(path.Clean(span)+"/...", strings.TrimPrefix(name, "./"))
	})
	return owed || tr.exists(span) || !strings.Contains(span, "/") && slices.ContainsFunc(tr.files, func(f string) bool { return path.Base(f) == span })
}

func (tr *tree) testNames() map[string]bool {
	found := map[string]bool{}
	for _, f := range tr.goFiles {
		for _, decl := range f.syntax.Decls {
			if f.test() {
				found[declName(decl)] = true
			}
		}
	}
	return found
}

var recipe = regexp.MustCompile(`(?m)^@?([a-z][a-z0-9-]*)(?: [^:\n]*)?:(?:[^=]|$)`)

// checkCommands wants the commands in the code blocks of our texts to be
// there: packages, configuration files, scripts and just recipes. What the
// README tells a new user to run with go, CI runs word for word.
func checkCommands(tr *tree) []string {
	var faults []string
	justfile, _ := tr.text("Justfile")
	ci, _ := tr.text(".ci/run")
	var recipes []string
	for _, m := range recipe.FindAllStringSubmatch(justfile, -1) {
		recipes = append(recipes, m[1])
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, ok := tr.text(name)
		if !ok && !slices.Contains(tr.owed, name) {
			faults = append(faults, name+": missing: write it")
		}
		for _, l := range lines(name, text) {
			if !l.fenced {
				continue
			}
			command, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(l.text), "$ "), " #")
			command = strings.TrimSpace(command)
			if what := tr.missing(command, recipes); what != "" {
				faults = append(faults, fmt.Sprintf("%s: %q: there is no %s", l.pos, command, what))
			}
			starter := strings.HasPrefix(command, "go run ") || strings.HasPrefix(command, "go test ")
			if name == "README.md" && starter && !strings.Contains(ci, command) {
				faults = append(faults, fmt.Sprintf("%s: %q is run by nothing: add it to .ci/run", l.pos, command))
			}
		}
	}
	return faults
}

// missing returns what a command needs of the repository and does not find.
func (tr *tree) missing(command string, recipes []string) string {
	words := strings.Fields(command)
	if len(words) == 0 {
		return ""
	}
	if words[0] == "just" && len(words) > 1 && words[1][0] != '-' && !slices.Contains(recipes, words[1]) {
		return "recipe " + words[1] + " in the Justfile"
	}
	if (strings.HasPrefix(words[0], "./") || strings.HasPrefix(words[0], ".ci/")) && !tr.exists(words[0]) && words[0] != "./apphost" {
		return words[0]
	}
	for i, word := range words[1:] {
		ours := words[0] == "go" && strings.HasPrefix(word, "./") && !tr.names(strings.TrimSuffix(word, "/"))
		config := words[i] == "-c" && words[0] == "go" && !tr.exists(word)
		if ours || config {
			return word
		}
	}
	return ""
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// checkLinks wants every relative link, and its heading, to be there.
func checkLinks(tr *tree) []string {
	var faults []string
	for _, name := range tr.files {
		if path.Ext(name) != ".md" {
			continue
		}
		text, _ := tr.text(name)
		for _, l := range lines(name, text) {
			for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(l.text, ""), -1) {
				if !l.fenced && !tr.resolves(name, m[1]) {
					faults = append(faults, fmt.Sprintf("%s: link %s leads nowhere: correct or drop it", l.pos, m[1]))
				}
			}
		}
	}
	return faults
}

func (tr *tree) resolves(from, target string) bool {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return true
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if !tr.exists(to) {
		return slices.Contains(tr.owed, to)
	}
	text, _ := tr.text(to)
	return anchor == "" || slices.ContainsFunc(lines(to, text), func(l line) bool {
		return !l.fenced && strings.HasPrefix(l.text, "#") && slug(l.text) == anchor
	})
}

var notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// slug is the anchor that code hosts give a heading.
func slug(heading string) string {
	s := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return strings.ReplaceAll(notInSlug.ReplaceAllString(s, ""), " ", "-")
}

var (
	release = regexp.MustCompile(`^## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$`)
	kinds   = []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
)

// checkChangelog holds CHANGELOG.md to the shape of keepachangelog.com:
// Unreleased first, then releases with dates, each with kinds of bullets.
func checkChangelog(tr *tree) []string {
	const name = "CHANGELOG.md"
	text, ok := tr.text(name)
	if !ok {
		return []string{name + ": missing: write it"}
	}
	var faults []string
	fault := func(l line, problem string) { faults = append(faults, l.pos+": "+problem) }
	sections, inKind := 0, false
	for i, l := range lines(name, text) {
		switch {
		case i == 0 && l.text != "# Changelog":
			fault(l, `the first line is "# Changelog"`)
		case strings.HasPrefix(l.text, "## "):
			if sections == 0 && l.text != "## [Unreleased]" {
				fault(l, `the first section is "## [Unreleased]"`)
			}
			if sections > 0 && !release.MatchString(l.text) {
				fault(l, `a release is "## [1.2.3] - 2006-01-02"`)
			}
			sections++
			inKind = false
		case strings.HasPrefix(l.text, "### "):
			inKind = true
			if !slices.Contains(kinds, strings.TrimPrefix(l.text, "### ")) {
				fault(l, "a kind is one of "+strings.Join(kinds, ", "))
			}
		case l.text == "" || sections == 0:
		case !inKind:
			fault(l, `put it below a kind, such as "### Added"`)
		case !strings.HasPrefix(l.text, "- ") && !strings.HasPrefix(l.text, "  "):
			fault(l, `an entry starts with "- ", and its next lines with two spaces`)
		}
	}
	if sections == 0 {
		faults = append(faults, name+`: no "## [Unreleased]" section: add it`)
	}
	return faults
}
