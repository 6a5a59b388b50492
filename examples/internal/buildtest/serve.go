//go:build unix

package buildtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// start is how the examples say that the server is started.
const start = "go run ./cmd/apphost -c config.toml"

// listener finds a listener's name and port in a configuration.
var listener = regexp.MustCompile(`(?m)^name = "([^"]+)"\n(?:#.*\n|\n)*address = "127\.0\.0\.1:(\d+)"`)

// Config is the configuration that a reader of the example's README.md has:
// config.toml of the repository, and at its end what the README says to add.
// For tests it listens on free ports and shares a cache, and plugins run as
// nobody where root runs the tests.
func Config(t *testing.T) string {
	t.Helper()
	if !strings.Contains(readme(t), start) {
		t.Errorf("README.md does not say how to start the server: %s", start)
	}
	return forTests(t, documented(t))
}

// documented is the configuration with the ports that the README speaks of.
func documented(t *testing.T) string {
	t.Helper()
	toml, err := os.ReadFile(filepath.Join(top, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(toml) + "\n" + strings.Join(blocks(readme(t), "toml"), "\n")
}

func forTests(t *testing.T, toml string) string {
	t.Helper()
	const cache = `cache_dir = ""`
	if !strings.Contains(toml, cache) {
		t.Fatalf("config.toml has no %s", cache)
	}
	toml = strings.Replace(toml, cache, `cache_dir = "CACHE"`, 1)
	if os.Geteuid() == 0 {
		toml = strings.NewReplacer("\nuser = \"\"", "\nuser = \"65534\"", "\ngroup = \"\"", "\ngroup = \"65534\"").Replace(toml)
	}
	return regexp.MustCompile(`(?m)^(address = "127\.0\.0\.1):\d+"`).ReplaceAllString(toml, `$1:0"`)
}

// New makes a server with a configuration and the repository's own plugins, to
// which it adds some: paths of .wasm files by name. It does not start it.
func New(t *testing.T, toml string, plugins map[string]string) *apphosttest.Server {
	t.Helper()
	s := apphosttest.New(t, toml, plugins)
	for _, name := range []string{"echo", "hello"} {
		s.Plugin(name, filepath.Join(top, "plugins", name+".wasm"))
	}
	return s
}

// Serve starts a server with Config and the repository's own plugins, to which
// it adds some: paths of .wasm files by name.
func Serve(t *testing.T, plugins map[string]string) *apphosttest.Server {
	t.Helper()
	s := New(t, Config(t), plugins)
	s.Start()
	return s
}

// Try runs what the README shows on a console against a server with Config,
// and compares what it prints. A command whose tool is not there is skipped.
func Try(t *testing.T, s *apphosttest.Server) {
	t.Helper()
	ports := map[string]string{}
	for _, found := range listener.FindAllStringSubmatch(documented(t), -1) {
		_, port, err := net.SplitHostPort(s.Addr(found[1]))
		if err != nil {
			t.Fatal(err)
		}
		ports[found[2]] = port
	}
	shown := strings.Split("\n"+strings.Join(blocks(readme(t), "console"), ""), "\n$ ")[1:]
	if len(shown) == 0 {
		t.Error("README.md shows no command on a console")
	}
	for _, entry := range shown {
		command, want, _ := strings.Cut(entry, "\n")
		t.Run(command, func(t *testing.T) {
			for part := range strings.SplitSeq(command, "|") {
				tool, _, _ := strings.Cut(strings.TrimSpace(part), " ")
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not installed", tool)
				}
			}
			moved := regexp.MustCompile(`\b\d{4,5}\b`).ReplaceAllStringFunc(command, func(port string) string {
				if to, ok := ports[port]; ok {
					return to
				}
				return port
			})
			out, err := exec.CommandContext(t.Context(), "sh", "-c", moved).Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != strings.TrimSpace(want) {
				t.Errorf("%s: %v; got\n%s\nwant\n%s", moved, err, got, want)
			}
		})
	}
}

// blocks are the code blocks of a language in a Markdown text.
func blocks(text, language string) []string {
	var found []string
	for {
		_, after, ok := strings.Cut(text, "\n```"+language+"\n")
		if !ok {
			return found
		}
		block, rest, _ := strings.Cut(after, "```\n")
		found, text = append(found, block), rest
	}
}
