// Package wasmbin reads what a WebAssembly binary says about itself: types,
// imports, exports and memory, as laid out in the core specification 2.0,
// section 5. It validates no code; wazero does that. Whatever the bytes are, it
// returns an error and never panics.
package wasmbin
