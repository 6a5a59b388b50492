// Command pages is an HTTP server of net/http, unchanged but for its listener.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/apphost/apphost/sdk/tcp"
)

func main() {
	requests := 0
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests++
		fmt.Fprintf(w, "%s is request %d of your connection.\n", r.URL.Path, requests)
	})
	log.Fatal(http.Serve(tcp.Listen(), nil))
}
