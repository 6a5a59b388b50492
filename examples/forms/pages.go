package main

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/apphost/apphost/sdk/web"
)

// yearSeconds is how long a browser keeps the cookies.
const yearSeconds = 365 * 24 * 60 * 60

const head = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>forms</title>
<style>
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
input, textarea, button { font: inherit; padding: .3rem .6rem; border: 1px solid #aaa; border-radius: .3rem }
textarea { display: block; width: 100%; box-sizing: border-box; margin: .5rem 0 }
button { background: #2454a6; color: #fff; border-color: #2454a6; cursor: pointer }
th { text-align: left; padding-right: 1rem; vertical-align: top } td { white-space: pre-wrap; overflow-wrap: anywhere }
pre { background: #f3f3f3; padding: .8rem; overflow-x: auto; border-radius: .3rem }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b } pre { background: #2b2b2b } a { color: #8ab4ff } }
</style>
`

const forms = `
<h2>Query</h2>
<form action="greet"><label>Name <input name="name" value="%s"></label> <button>Greet</button></form>
<h2>Posted form</h2>
<form action="post" method="post">
<label>Title <input name="title"></label>
<textarea name="text" rows="3" aria-label="Text"></textarea>
<label><input type="checkbox" name="option" value="a"> a</label>
<label><input type="checkbox" name="option" value="b"> b</label>
<button>Post</button></form>
<h2>JSON</h2>
<pre>curl -d '{"numbers": [1, 2.5]}' -H 'content-type: application/json' URL-OF-THIS-PAGE/sum</pre>
<h2>An answer bit by bit</h2>
<p><a href="stream?lines=10">Ten lines, one at a time</a></p>
`

// begin starts an HTML page. The policy keeps anything that slipped through
// the escaping from running.
func begin(w *web.Response) {
	w.SetHeader("Content-Type", "text/html; charset=utf-8")
	w.SetHeader("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	fmt.Fprint(w, head)
}

// home shows the forms, and counts the visits in a cookie.
func home(w *web.Response, r *web.Request) {
	visits := 1
	if value, found := r.Cookie("visits"); found {
		// A cookie is the client's to change: anything else counts as none.
		if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 1_000_000 {
			visits = n + 1
		}
	}
	if !keep(w, "visits", strconv.Itoa(visits)) {
		return
	}
	begin(w)
	fmt.Fprintf(w, "<h1>Forms</h1>\n<p>A WebAssembly handler made this page. You have seen it %s.</p>\n", times(visits))
	fmt.Fprintf(w, forms, html.EscapeString(rememberedName(r)))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// greet shows a name from the query and remembers it in a cookie.
func greet(w *web.Response, r *web.Request) {
	name := r.Query().Get("name")
	if name == "" {
		name = rememberedName(r)
	}
	if len(name) > 100 {
		w.Error(400, "a name of up to 100 bytes, please")
		return
	}
	if !keep(w, "name", url.QueryEscape(name)) {
		return
	}
	if name == "" {
		name = "stranger"
	}
	begin(w)
	fmt.Fprintf(w, "<h1>Hello, %s!</h1>\n<p><a href=\"./\">Back</a></p>\n", html.EscapeString(name))
}

// rememberedName is the name in the cookie, empty if there is none.
func rememberedName(r *web.Request) string {
	value, _ := r.Cookie("name")
	name, err := url.QueryUnescape(value)
	if err != nil {
		return ""
	}
	return name
}

// keep sets a cookie. It answers the request and returns false if that fails.
func keep(w *web.Response, name, value string) bool {
	if err := w.SetCookie(web.Cookie{Name: name, Value: value, MaxAge: yearSeconds}); err != nil {
		w.Error(500, err.Error())
		return false
	}
	return true
}

// posted shows the fields of a form.
func posted(w *web.Response, r *web.Request) {
	fields, err := r.Form()
	switch {
	case errors.Is(err, web.ErrFormTooLong):
		w.Error(413, err.Error())
		return
	case err != nil:
		w.Error(400, err.Error())
		return
	}
	begin(w)
	fmt.Fprint(w, "<h1>You posted</h1>\n<table>\n")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			fmt.Fprintf(w, "<tr><th>%s<td>%s\n", html.EscapeString(name), html.EscapeString(value))
		}
	}
	fmt.Fprint(w, "</table>\n<p><a href=\"./\">Back</a></p>\n")
}
