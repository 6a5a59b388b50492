// Command forms is a plugin that shows what an HTTP handler does all day: query,
// posted form, cookies, JSON in and out, and an answer that is sent bit by bit.
// See README.md.
package main

import (
	"log/slog"
	"path"
	"strings"

	"github.com/apphost/apphost/sdk/web"
)

func init() { web.Handle(answer) }

func main() {} // never called: the server calls the handler

// pages are the plugin's pages by the last element of their path. Pages refer
// to each other by it alone, so that the plugin works wherever it is mounted.
var pages = map[string]struct {
	method string
	answer func(w *web.Response, r *web.Request)
}{
	"":       {"GET", home},
	"greet":  {"GET", greet},
	"post":   {"POST", posted},
	"sum":    {"POST", sum},
	"stream": {"GET", stream},
}

func answer(w *web.Response, r *web.Request) {
	name := path.Base(r.Path())
	if strings.HasSuffix(r.Path(), "/") {
		name = ""
	}
	page, found := pages[name]
	method := r.Method()
	switch {
	case !found:
		w.Error(404, "no such page")
	case method == page.method, method == "HEAD" && page.method == "GET":
		page.answer(w, r)
	default:
		slog.Warn("wrong method", "method", method, "path", r.Path())
		w.SetHeader("Allow", page.method)
		w.Error(405, "this page wants "+page.method)
	}
}
