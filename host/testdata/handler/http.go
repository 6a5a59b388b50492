//go:build http

package main

import "unsafe"

//go:wasmimport http_handler write_body
func writeBody(kind uint32, p *byte, n uint32)

//go:wasmexport handle_request
func handleRequest() uint64 {
	text := say()
	writeBody(1, unsafe.StringData(text), uint32(len(text)))
	return 0
}

//go:wasmexport handle_response
func handleResponse(uint32, uint32) {}
