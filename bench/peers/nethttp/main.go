// Command nethttp answers each request with a line of text, by net/http and
// nothing else.
//
//	nethttp -listen 127.0.0.1:8080
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	flag.Parse()
	server := http.Server{Addr: *listen, Handler: http.HandlerFunc(hello), ReadHeaderTimeout: 20 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "nethttp:", err)
		os.Exit(1)
	}
}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("Hello from WebAssembly!\n")) // a client that is gone
}
