// Package mpm is the contract between a multi-processing model and what it
// serves: how a model hands a connection to a handler, and the options that
// say how many processes it keeps.
//
// A model (package mpm/prefork) promises a handler that
//
//   - ServeConn is called once for each accepted connection, and again for one
//     that was parked (see [Parkable]): in the prefork model never while another
//     call is running in the same process, in the worker model for up to
//     Options.ThreadsPerChild connections at once;
//   - the connection stays open until ServeConn returns, and the model, not
//     the handler, closes it;
//   - no signal reaches the handler: a child that is told to leave learns it
//     from [Conn.Stopping], and a read between two requests then ends with
//     io.EOF;
//   - what a handler does to its own process, a crash included, costs the
//     connections of that process and nothing else.
//
// The package makes no system calls, reads no files, and knows nothing of
// WebAssembly, HTTP or TOML.
package mpm
