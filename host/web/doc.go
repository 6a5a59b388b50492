// Package web speaks HTTP/1.1 (RFC 9110, RFC 9112) on a connection that was
// handed over, and gives each request to the handler mounted at its path.
//
// It promises that
//
//   - a response a handler writes in one piece has a Content-Length; one it
//     writes in several is on its way to the client piece by piece, while the
//     handler runs, without another goroutine;
//   - a handler that fails half way leaves the client a response that is
//     visibly cut off, never one that looks complete;
//   - a request whose end two parsers could see in different places is
//     refused, and nothing after it on the connection is read;
//   - a request is judged by its header: its handler runs, or its refusal is
//     sent, before any of its body came, and a client that asks before it sends
//     the body (RFC 9110, section 10.1.1) is told to when the handler reads;
//   - a handler that reads a body beside its response, or upgrades the
//     connection, says so (exchange.Duplexer, exchange.Upgrader); otherwise one
//     goroutine does everything on a connection;
//   - ServeConn starts no goroutine that outlives it, and nothing wakes up while
//     there is no connection.
//
// A request line may end in a bare LF, and empty lines may come before it: the
// library takes them, as RFC 9112, section 2.2, allows. A header line must not.
//
// Parsing, keep-alive and plain responses are the library's,
// github.com/valyala/fasthttp. Streaming is ours: see stream.go for why.
package web
