// Package connguest is the conn ABI seen from the guest: the host's functions
// in Go's types, the connection as a net.Conn, and what the guest's exports
// run, or a program's accept loop. Package sdk/tcp is its public face.
//
// On wasip1 the host functions are imports. Elsewhere they are a [Fake], so
// that a handler's unit tests run natively; package sdk/tcp/tcptest sets it.
package connguest
