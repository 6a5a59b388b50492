package config

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

// FuzzLoad reads any text as the configuration, and any other as the settings
// of a plugin. Whatever they are, the outcome is settings that mpm accepts or
// faults of one line each.
func FuzzLoad(f *testing.F) {
	seed := func(pattern string) {
		for _, file := range glob(f, pattern) {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), "memory_limit = \"1MiB\"\n[config]\na = 1\n")
		}
	}
	seed("testdata/valid/*.toml")
	seed("testdata/invalid/*.toml")
	seed(reference)
	f.Fuzz(func(t *testing.T, text, shipped string) {
		if len(text) > 64<<10 || len(shipped) > 64<<10 {
			t.Skip("larger texts are only slower")
		}
		plugins := twoPlugins()
		plugins["echo.toml"] = &fstest.MapFile{Data: []byte(shipped)}
		src := sourceOf(text, plugins)
		if doc, fault := parse(src.name, src.text); fault == nil {
			checkPlaces(t, doc)
		}
		config, err := load(src)
		if err != nil {
			for _, fault := range faultsOf(err) {
				checkLine(t, fault.Error())
			}
			return
		}
		for _, warning := range config.Warnings {
			checkLine(t, warning)
		}
		if err := config.MPM.Validate(); err != nil {
			t.Errorf("accepted what mpm refuses: %v", err)
		}
		for _, p := range config.Host.Plugins {
			var values map[string]any
			if err := json.Unmarshal(p.ConfigJSON, &values); err != nil || len(values) != len(p.Config) {
				t.Errorf("plugin %s: %d values as text, and as JSON %q (%v)", p.Name, len(p.Config), p.ConfigJSON, err)
			}
		}
	})
}

func checkLine(t *testing.T, line string) {
	t.Helper()
	if line == "" || strings.ContainsFunc(line, unicode.IsControl) {
		t.Errorf("not one line: %q", line)
	}
}
