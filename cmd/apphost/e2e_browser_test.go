package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// buildGuest builds a Go package of a guest and returns the module's path.
func buildGuest(t *testing.T, pkg string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building a guest takes seconds")
	}
	path := filepath.Join(t.TempDir(), filepath.Base(pkg)+".wasm")
	build := exec.Command("go", "build", "-o", path, pkg)
	if !strings.Contains(pkg, "program") { // which is a command, and the others are reactors
		build.Args = append(build.Args[:2], append([]string{"-buildmode=c-shared"}, build.Args[2:]...)...)
	}
	build.Env = append(build.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build guest: %v\n%s", err, out)
	}
	return path
}

// page shows what reached it: that its style came, and each event.
var page = map[string]string{
	"index.html": `<!doctype html>
<html lang="en"><head><title>events</title><link rel="stylesheet" href="look/style.css"></head>
<body><ol id="events"></ol><p id="state">waiting</p><script src="app.js"></script></body></html>
`,
	"look/style.css": "body { color: rgb(1, 2, 3); }\n",
	"app.js": `"use strict";
const show = (text) => {
  const item = document.createElement("li");
  item.textContent = text;
  document.getElementById("events").append(item);
};
window.addEventListener("load", () => {
  const source = new EventSource("/events/");
  source.onmessage = (event) => {
    show(event.data);
    if (event.lastEventId === "3") {
      source.close();
      document.getElementById("state").textContent = "done, color " + getComputedStyle(document.body).color;
    }
  };
  source.addEventListener("named", (event) => show(event.data.replace("\n", "/")));
  source.onerror = () => show("error");
});
`,
}

// A browser shows a page of static files, and gets the events of a response that
// does not end.
func TestE2EABrowserShowsFilesAndEvents(t *testing.T) {
	const browser = "chromium"
	if _, err := exec.LookPath(browser); err != nil {
		t.Skipf("there is no browser to try: %v", err)
	}
	s := apphosttest.New(t, plain+`
[[route]]
path = "/"
root = "public"
`, map[string]string{"echo": echoWasm, "events": buildGuest(t, "./testdata/events")})
	for name, text := range page {
		path := filepath.Join("public", name)
		if err := os.MkdirAll(filepath.Join(s.Dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		s.Write(path, []byte(text))
	}
	s.Start()

	ctx, cancel := context.WithTimeout(t.Context(), 2*apphosttest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom", "http://"+s.Addr("web")+"/")
	cmd.WaitDelay = apphosttest.Patience // its helpers have its output, too
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, log.String())
	}
	for _, want := range []string{
		`<ol id="events"><li>one</li><li>two/lines</li><li>three</li></ol>`,
		`<p id="state">done, color rgb(1, 2, 3)</p>`,
	} {
		if !strings.Contains(dom.String(), want) {
			t.Errorf("the page has no %s:\n%s", want, dom.String())
		}
	}
}
