//go:build !wasm

package guestlog

// Trap ends the process: outside WebAssembly there is no instance to end.
func Trap() { panic("BUG: guestlog: the guest trapped; its log has the cause") }
