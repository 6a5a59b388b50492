// Package host serves connections through WebAssembly plugins. A [Host] holds
// one generation's plugins in one wazero runtime and implements
// mpm.ConnHandler: the way of a connection is
//
//	model → Host.ServeConn → (host/web for HTTP) → host/abi/… → guest
//
// The package promises that
//
//   - New either returns a host all of whose plugins are usable, or every
//     reason why not, each naming the plugin;
//   - a guest that traps ends its own connection or request, is logged with
//     plugin, generation and wasm stack, and leaves nothing behind for the
//     next one;
//   - nothing a guest passes to a host function, pointers and lengths
//     included, can panic the process.
//
// It never starts a process, opens a listener or reads a file of the
// operator: wasm and settings are handed to it.
package host
