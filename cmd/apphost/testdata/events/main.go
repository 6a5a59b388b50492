// Command events is a plugin for HTTP that sends three events, and from then on
// comments until the client is gone.
package main

import (
	"time"

	"github.com/apphost/apphost/sdk/web"
)

func init() { web.Handle(events) }

func main() {}

func events(w *web.Response, _ *web.Request) {
	w.SetHeader("Content-Type", "text/event-stream")
	w.SetHeader("Cache-Control", "no-store")
	for _, event := range []string{"data: one\n\n", "event: named\ndata: two\ndata: lines\n\n", "id: 3\ndata: three\n\n"} {
		_, _ = w.WriteString(event)
		w.Flush()
	}
	for {
		time.Sleep(20 * time.Millisecond)
		_, _ = w.WriteString(": still here\n\n")
		w.Flush()
	}
}
