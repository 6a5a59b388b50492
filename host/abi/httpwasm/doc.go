// Package httpwasm implements the http-wasm handler ABI, as published at
// https://http-wasm.io/http-handler-abi/, on an exchange.Exchange. Each
// request has an instance of its own, in the state that _initialize leaves a
// fresh one in.
//
// A guest that asks for the next handler passes the request on as it has changed
// it, and its handle_response is called when that has answered. Without a next
// handler the answer is a plain 404. What a guest enables decides what it may
// still do:
//
//   - buffer_request: the guest reads the request's body without taking it
//     from the next handler, and can read it again afterwards. Otherwise the
//     next handler gets what the guest has left of it. A body that the guest
//     writes is the next handler's in either case.
//   - buffer_response: what the guest writes, and what the next handler answers
//     behind that, is held back until handle_response has returned, which may
//     read, change and replace it. Otherwise it is sent as it is made, and
//     changing it ends the guest.
//   - trailers: without it there seem to be none.
//
// What is held back counts towards the plugin's memory limit.
//
// If the next handler fails, handle_response is told so by its second
// parameter. The response is then 500, which it may change like any other.
//
// docs/abi.md says where this differs from the reference host, and why;
// TestConformance holds it to the text.
//
// The ABI has no error numbers. A guest that passes a pointer outside its
// memory, or calls a function when it makes no sense, is ended; the client
// gets 500 if nothing was sent yet.
package httpwasm
