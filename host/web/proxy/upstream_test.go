package proxy

import (
	"strings"
	"testing"
)

func TestTargetsAreReplaced(t *testing.T) {
	for _, test := range []struct{ url, route, uri, want string }{
		{"http://h:1", "/r/", "/r/a%2Fb/../c?x=/r/", "/r/a%2Fb/../c?x=/r/"},
		{"http://h:1/", "/r/", "/r/a%2Fb?x", "/a%2Fb?x"},
		{"http://h:1/base/", "/r/", "/r/", "/base/"},
		{"http://h:1/base/", "/r/", "/r/a?", "/base/a?"},
		{"http://h:1/b%20c/", "/r/", "/r/%41", "/b%20c/%41"},
		{"http://h:1/base/", "/r/", "/r/a//b/./c d%", "error"},
		{"http://h:1/base/", "/r/", "/r/a//b/./%63?/../", "/base/a/b/c?/../"},
		{"http://h:1/base/", "/r/", "/r/a/..%2f../r/b", "/base/b"},
		{"http://h:1/base/", "/r/", "/%72/a%3Fb", "/base/a%3Fb"},
		{"http://h:1/base/", "/r/", "/r/%zz", "/base/%25zz"},
		{"http://h:1/base/", "/r/", "/moved/x", "/base/moved/x"},
		{"http://h:1/base/", "/r/", "*", "*"},
		{"http://h:1/two", "/one", "/one?x", "/two?x"},
		{"http://h:1/two", "/one", "/%6fne/", "/two"},
		{"unix:/x", "/r/", "/r/a", "/r/a"},
		{"http://h:1", "/r/", "r", "error"},
		{"http://h:1", "/r/", "", "error"},
		{"http://h:1", "/r/", "http://other/", "error"},
	} {
		u, err := ParseUpstream(test.url, test.route)
		if err != nil {
			t.Fatal(err)
		}
		got, err := u.target([]byte(test.uri))
		if err != nil {
			got = []byte("error")
		}
		if string(got) != test.want {
			t.Errorf("%s for %s: %s becomes %s, want %s", test.url, test.route, test.uri, got, test.want)
		}
	}
}

func TestUpstreamsThatAreNone(t *testing.T) {
	for url, want := range map[string]string{
		"":                      "must be where requests go",
		"127.0.0.1:9000":        "must be where requests go",
		"ftp://h/":              "must be where requests go",
		"http://":               "must be where requests go",
		"http://:80":            "must be where requests go",
		"https://h/":            "TLS to an upstream",
		"http://h:0":            "port from 1",
		"http://h:99999":        "port from 1",
		"http://me@h":           "no user",
		"http://h?x":            "no user, query",
		"http://h/#x":           "no user, query",
		"http://h/a":            `ends in "/"`,
		"http://h/a/../b/":      "shortest form",
		"http://h//":            "shortest form",
		"unix:":                 "must be unix:",
		"unix:///run/x":         "must be unix:",
		"http://h/\x01":         "must be where requests go",
		"http://[::1":           "must be where requests go",
		"http://127.0.0.1:9000": "",
		"http://[::1]:80/x/":    "",
		"http://h":              "",
		"unix:/run/app.sock":    "",
	} {
		_, err := ParseUpstream(url, "/r/")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}

// Whatever a client asks for, one line goes out, and it stays below the base.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/r/a", "/r/../x", "/r/%2e%2e/%2e%2e/x", "/r/a/..%2f../r/b", "//r/?", "/r/\x00", "/%72/", "/r/..;/x"} {
		f.Add(seed)
	}
	u, err := ParseUpstream("http://h:1/base/", "/r/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := u.target([]byte(uri))
		if err != nil || string(got) == "*" {
			return
		}
		path, _, _ := strings.Cut(string(got), "?")
		if strings.ContainsAny(string(got), " \r\n\x00") || !strings.HasPrefix(path, "/base/") {
			t.Errorf("%q becomes %q", uri, got)
		}
		for part := range strings.SplitSeq(strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/").Replace(path), "/") {
			if part == ".." {
				t.Errorf("%q becomes %q", uri, got)
			}
		}
	})
}
