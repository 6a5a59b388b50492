package fixed_test

import (
	"net/http"
	"testing"

	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/host/web"
	"github.com/apphost/apphost/host/web/fixed"
)

func TestARedirectKeepsWhatFollowsItsPath(t *testing.T) {
	to := func(path, location string) web.Mount {
		return web.Mount{Path: path, Handler: &fixed.Redirect{Location: location, Path: path, Response: fixed.Response{Status: 302}}}
	}
	s := web.New(web.Config{Mounts: []web.Mount{
		to("/old/", "https://example.com/new/"), to("/all/", "/one"), to("/exact", "/there/"), to("/own/", "/new/?q=1"),
	}})
	address := hosttest.Serve(t, s.ServeConn)
	for path, want := range map[string]string{
		"/old/":             "https://example.com/new/",
		"/old/a/b%20c?x=1":  "https://example.com/new/a/b%20c?x=1",
		"/old/a%0d%0ab":     "https://example.com/new/a%0D%0Ab",
		"/old/../old/./d":   "https://example.com/new/d",
		"/all/a/b?x":        "/one?x",
		"/exact?x":          "/there/?x",
		"/own/a?x":          "/new/?q=1",
		"/old//evil.com/%2": "https://example.com/new/evil.com/%252",
	} {
		r, err := http.NewRequest("GET", "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = path // as it is
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Location"); got != want || res.StatusCode != 302 {
			t.Errorf("%s: %d to %q, want %q", path, res.StatusCode, got, want)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
