package web

import (
	"html"
	"net/url"
	"slices"
	"strings"
)

const pageHead = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>apphost: it works</title>
<style>
:root { color-scheme: light dark; --line: #8884; --accent: #654ff0 }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem }
h1 { font-size: 2rem; margin: 0 }
h1::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .4em; border-radius: .12em; background: var(--accent) }
p { opacity: .75; margin: .4rem 0 2rem }
table { width: 100%; border-collapse: collapse }
th, td { text-align: left; padding: .55rem .25rem; border-bottom: 1px solid var(--line) }
th { font-weight: 600; font-size: .85rem; opacity: .6 }
a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: .2em }
</style>
<h1>It works</h1>
`

// renderPage is the page at "/": what is mounted, and where.
func renderPage(mounts []Mount) []byte {
	var b strings.Builder
	b.WriteString(pageHead)
	// Other hosts have their own visitors.
	mounts = slices.DeleteFunc(slices.Clone(mounts), func(m Mount) bool { return m.Name == "" || m.Host != "" })
	if len(mounts) == 0 {
		b.WriteString("<p>apphost is running. No handler is mounted yet.</p>\n")
		return []byte(b.String())
	}
	b.WriteString("<p>apphost is running and serves these handlers.</p>\n" +
		"<table>\n<tr><th>Path<th>Handler\n")
	for _, m := range mounts {
		link := (&url.URL{Path: m.Path}).EscapedPath()
		b.WriteString(`<tr><td><a href="` + html.EscapeString(link) + `">` +
			html.EscapeString(m.Path) + "</a><td>" + html.EscapeString(m.Name) + "\n")
	}
	b.WriteString("</table>\n")
	return []byte(b.String())
}
