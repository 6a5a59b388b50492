package wagi

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// environment is what WAGI's flags --env-file and --env give every module; the
// latter win.
func environment(files, variables []string) (map[string]string, error) {
	env := map[string]string{}
	var errs []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read environment: %w", err))
			continue
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			name, value, err := variable(line)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", file, n, err))
				continue
			}
			env[name] = value
		}
	}
	for _, v := range variables {
		name, value, err := variable(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("--env: %w", err))
			continue
		}
		env[name] = value
	}
	return env, errors.Join(errs...)
}

// variable splits NAME=VALUE, whose value may be in quotes.
func variable(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return "", "", fmt.Errorf("must be NAME=VALUE, got %q", text)
	}
	for _, quote := range []string{`"`, `'`} {
		if inner, ok := strings.CutPrefix(value, quote); ok && strings.HasSuffix(inner, quote) {
			return name, strings.TrimSuffix(inner, quote), nil
		}
	}
	return name, value, nil
}
