package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/config.md is made of the comments of config.toml, which another test holds
// to the schema.
func TestTheReferenceIsThatOfTheConfigurationFile(t *testing.T) {
	raw, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	r := parseReference(string(raw))
	if len(r.sections) < 6 {
		t.Errorf("only %d sections were found", len(r.sections))
	}
	known := kinds(t, string(raw))
	for _, s := range r.sections {
		for _, k := range s.keys {
			if kind := s.kind(k, known); (kind == "" || strings.Contains(kind, ",")) && s.name != pluginConfig {
				t.Errorf("config.toml: %s in %s has the type %q", strings.Join(k.names, ", "), s.name, kind)
			}
			if k.text == "" && s.name != pluginConfig {
				t.Errorf("config.toml: no comment above %s in %s", strings.Join(k.names, ", "), s.name)
			}
		}
	}
	const page = "../../../../docs/config.md"
	got := r.markdown(known)
	if *update {
		compare(t, page, got)
		return
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("docs/config.md differs from config.toml in line %d; run: go test ./cmd/apphost/internal/config -update",
			1+strings.Count(got[:at], "\n"))
	}
}

// settingsReference is config.toml as it reads.
type settingsReference struct {
	intro    string
	sections []*settingsSection
}

type settingsSection struct {
	name, text string // the name in brackets, as in the file
	reload     string // of keys that do not say
	keys       []*settingsKey
}

type settingsKey struct {
	names                          []string
	standard, values, reload, text string
}

// pluginConfig is a section whose keys are the plugin's.
const pluginConfig = "[plugin.NAME.config]"

var (
	sectionLine = regexp.MustCompile(`^#?(\[\[?[a-z.]+\]?\])$`)
	keyLine     = regexp.MustCompile(`^#?([a-z_0-9]+) = (.+)$`)
	marker      = regexp.MustCompile(`(?:^|[.;] )(One of|Range|Default|Reload): `)
	sentenceEnd = regexp.MustCompile(`\.( [A-Z]|$)`)
	pathIndex   = regexp.MustCompile(`\[[0-9]+\]`)
)

func parseReference(toml string) *settingsReference {
	r := &settingsReference{}
	var section *settingsSection
	var comment []string
	afterKey := false
	for line := range strings.Lines(toml + "\n\n") {
		line = strings.TrimRight(line, "\n")
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = r.section(strings.ReplaceAll(m[1], "plugin.hello", "plugin.NAME"))
			section.add(comment)
			comment, afterKey = nil, false
			continue
		}
		m := keyLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			section.key(m[1], comment, afterKey)
			comment = nil
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		case section == nil && r.intro == "":
			r.intro, comment = strings.Join(comment, "\n"), nil
		case section != nil:
			section.add(comment)
			comment = nil
		}
		afterKey = m != nil
	}
	return r
}

func (r *settingsReference) section(name string) *settingsSection {
	for _, s := range r.sections {
		if s.name == name {
			return s
		}
	}
	s := &settingsSection{name: name}
	r.sections = append(r.sections, s)
	return s
}

// add adds a paragraph about the section.
func (s *settingsSection) add(comment []string) {
	if len(comment) == 0 {
		return
	}
	text := strings.Join(comment, " ")
	s.text += text + "\n\n"
	if reload := take(&text, "Reload"); reload != "" {
		s.reload, _, _ = strings.Cut(reload, ",")
	}
}

// key adds a key, or, right below another one, that key's second name.
func (s *settingsSection) key(name string, comment []string, afterKey bool) {
	for _, k := range s.keys {
		if slices.Contains(k.names, name) {
			return // a further example
		}
	}
	if len(comment) == 0 && afterKey && len(s.keys) > 0 {
		last := s.keys[len(s.keys)-1]
		last.names = append(last.names, name)
		return
	}
	k := &settingsKey{names: []string{name}, text: strings.Join(comment, " ")}
	k.reload = take(&k.text, "Reload")
	k.standard = take(&k.text, "Default")
	if k.values = take(&k.text, "Range"); k.values == "" {
		k.values = take(&k.text, "One of")
	}
	if strings.Contains(k.text, "Required") && k.standard == "" {
		k.standard = "required"
	}
	if k.reload == "" {
		k.reload = s.reload
	}
	s.keys = append(s.keys, k)
}

// take takes the sentence that begins with the word and a colon out of text, and
// returns what is behind the colon.
func take(text *string, word string) string {
	for _, at := range marker.FindAllStringSubmatchIndex(*text, -1) {
		if (*text)[at[2]:at[3]] != word {
			continue
		}
		rest := (*text)[at[1]:]
		end, after := len(rest), ""
		if stop := sentenceEnd.FindStringIndex(rest); stop != nil {
			end, after = stop[0], strings.TrimSpace(rest[stop[0]+1:])
		}
		*text = strings.TrimSpace((*text)[:at[2]] + after)
		return rest[:end]
	}
	return ""
}

// kinds are what the schema takes for the keys of a reference, by their path
// without indexes.
func kinds(t *testing.T, reference string) map[string]string {
	t.Helper()
	src := sourceOf(uncommented(reference), twoPlugins())
	doc, fault := parse(src.name, src.text)
	if fault != nil {
		t.Fatal(fault)
	}
	d := newDecoder(src)
	d.file(doc)
	out := map[string]string{}
	for path, kind := range d.kinds {
		out[pathIndex.ReplaceAllString(path, "")] = kind
	}
	return out
}

// kind is what a key takes, or its names do, one after the other.
func (s *settingsSection) kind(k *settingsKey, kinds map[string]string) string {
	section := strings.ReplaceAll(strings.Trim(s.name, "[]"), "plugin.NAME", "plugin.hello")
	var out []string
	for _, name := range k.names {
		if kind := kinds[section+"."+name]; !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return strings.Join(out, ", ")
}

func (r *settingsReference) markdown(kinds map[string]string) string {
	var b strings.Builder
	b.WriteString("# Settings\n\nAll keys of the configuration file, section by section, made of the comments in\n" +
		"[config.toml](../config.toml) by `go test ./cmd/apphost/internal/config -update`.\n\n```\n" + r.intro + "\n```\n")
	for _, s := range r.sections {
		b.WriteString("\n## `" + s.name + "`\n\n" + s.text)
		if s.name == pluginConfig {
			continue
		}
		b.WriteString("| key | type | default | range | reload | meaning |\n|---|---|---|---|---|---|\n")
		for _, k := range s.keys {
			names := "`" + strings.Join(k.names, "`, `") + "`"
			cells := []string{names, s.kind(k, kinds), k.standard, k.values, k.reload, k.text}
			for i := range cells {
				cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
			}
			b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
