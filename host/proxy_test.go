package host_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
)

// proxied serves everything by the plugin "pass" and then an upstream. It returns
// the URL.
func proxied(t *testing.T, upstream http.HandlerFunc) string {
	t.Helper()
	backend := httptest.NewServer(upstream)
	t.Cleanup(backend.Close)
	logger, _ := hosttest.Logger()
	h, err := host.New(t.Context(), host.Config{
		Plugins:   []host.Plugin{plugin(t, "pass", passFile)},
		Listeners: []host.Listener{{Name: "test", Protocol: host.HTTP}},
		Routes:    []host.Route{{Path: "/", Chain: []string{"pass"}, Proxy: &host.Proxy{To: backend.URL}}},
		Logger:    logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return "http://" + hosttest.Serve(t, h.ServeConn)
}

// The upstream gets the body that the plugin leaves, with its true length.
func TestAProxyBehindAPluginThatChangesTheBody(t *testing.T) {
	url := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%d:%s", r.ContentLength, body)
	})
	for path, want := range map[string]string{
		"/0-": "8:the body", "/0r": "5: body", "/0w": "3:new",
		"/1-": "8:the body", "/1r": "8:the body", "/1w": "3:new",
		"/2-": "|", "/3-": "the body|",
	} {
		for _, body := range []io.Reader{strings.NewReader("the body"), io.MultiReader(strings.NewReader("the body"))} {
			res, err := http.Post(url+path, "", body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			want := want
			if _, known := body.(*strings.Reader); !known && !strings.HasSuffix(path, "w") {
				want = strings.NewReplacer("8:", "-1:", "5:", "-1:").Replace(want)
			}
			if err != nil || res.StatusCode != 200 || string(got) != want {
				t.Errorf("%s: %d %q, %v, want %q", path, res.StatusCode, got, err, want)
			}
		}
	}
}

// Both bodies go at the same time, also when the plugin holds both.
func TestAProxyBehindAPluginStreamsBothWays(t *testing.T) {
	url := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	text := strings.Repeat("0123456789", 40_000)
	for path, want := range map[string]string{"/0-": text, "/1-": text, "/2-": "|", "/3-": text[:64] + "|"} {
		res, err := http.Post(url+path, "", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v, want %d", path, len(got), err, len(want))
		}
	}
}

// An upgrade goes through a plugin, but not one that wants to see the response.
func TestAnUpgradeGoesThroughAPlugin(t *testing.T) {
	url := proxied(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "words")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "hello")
		_ = c.Close()
	})
	for path, want := range map[string]int{"/0-": 101, "/1-": 101, "/2-": 200} {
		req, err := http.NewRequest("GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "words")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want || want == 101 && string(body) != "hello" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
	}
}
