package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// What 'apphost routes' prints is what the server does.
func TestE2ERoutesAreServedAsPrinted(t *testing.T) {
	s := apphosttest.Start(t, plain+`
[[route]]
host = "*.example"
path = "/hello/"
methods = ["GET"]
respond = "from the route\n"
status = 203
[[route]]
path = "/old/"
redirect = "/new"
[status]
path = "/server-status"
`, map[string]string{"hello": helloWasm, "echo": echoWasm})
	out, code := s.Run("routes", "-c", "config.toml")
	want := `HOST       METHODS   PATH            HANDLER
*.example  GET       /hello/         respond 203
*          *         /server-status  status page
*          *         /hello/         hello
*          *         /old/           redirect 308 to /new
*          GET,HEAD  /               the page "It works", at / only
`
	if code != 0 || out != want {
		t.Errorf("exit status %d:\n%s", code, out)
	}
	client := &http.Client{Timeout: apphosttest.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, test := range []struct {
		method, host, path string
		status             int
		body               string
	}{
		{"GET", "a.example", "/hello/x", 203, "from the route\n"},
		{"POST", "a.example", "/hello/x", 200, "hello"},
		{"GET", "other", "/hello/x", 200, "hello"},
		{"GET", "other", "/old/x", 308, ""},
		{"GET", "other", "/server-status", 200, "apphost"},
		{"GET", "other", "/", 200, "it works"},
		{"GET", "other", "/nowhere", 404, "not found"},
	} {
		req, err := http.NewRequest(test.method, "http://"+s.Addr("web")+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != test.status || !strings.Contains(strings.ToLower(string(body)), test.body) {
			t.Errorf("%s %s%s: %d %q, %v", test.method, test.host, test.path, res.StatusCode, body, err)
		}
	}
}
