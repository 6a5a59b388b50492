//go:build conn

package main

import "unsafe"

//go:wasmimport apphost_v1 conn_write
func connWrite(p *byte, n uint32) int32

//go:wasmexport process_connection
func processConnection() int32 {
	text := say()
	connWrite(unsafe.StringData(text), uint32(len(text)))
	return 0
}
