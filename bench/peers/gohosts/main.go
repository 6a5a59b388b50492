// Command gohosts answers with a line of text, in one of two ways that a service
// in Go could: by fasthttp, and by net/http with a guest of the http-wasm handler
// ABI in wazero, through the library of that ABI's authors, which keeps instances
// and uses them again as they are left.
//
//	gohosts -listen 127.0.0.1:8080 -kind fasthttp|wazero [-guest hello.wasm]
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"

	wasm "github.com/http-wasm/http-wasm-host-go/handler/nethttp"
	"github.com/valyala/fasthttp"
)

const hello = "Hello from WebAssembly!\n"

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	kind := flag.String("kind", "fasthttp", "fasthttp or wazero")
	guest := flag.String("guest", "", "file of the guest, for wazero")
	flag.Parse()
	if err := run(*listen, *kind, *guest); err != nil {
		fmt.Fprintln(os.Stderr, "gohosts:", err)
		os.Exit(1)
	}
}

func run(listen, kind, guest string) error {
	switch kind {
	case "fasthttp":
		return fasthttp.ListenAndServe(listen, func(c *fasthttp.RequestCtx) {
			c.SetContentType("text/plain; charset=utf-8")
			c.SetBodyString(hello)
		})
	case "wazero":
		handler, err := reused(guest)
		if err != nil {
			return err
		}
		return http.ListenAndServe(listen, handler)
	}
	return fmt.Errorf("no kind %q", kind)
}

func reused(guest string) (http.Handler, error) {
	code, err := os.ReadFile(guest)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	middleware, err := wasm.NewMiddleware(ctx, code)
	if err != nil {
		return nil, err
	}
	return middleware.NewHandler(ctx, http.NotFoundHandler()), nil
}
