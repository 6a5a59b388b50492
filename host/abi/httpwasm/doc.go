// Package httpwasm implements the http-wasm handler ABI, as published at
// https://http-wasm.io/http-handler-abi/, on an exchange.Exchange. Each
// request has an instance of its own, in the state that _initialize leaves a
// fresh one in.
//
// There is no next handler yet: a guest that asks for it gets a plain 404,
// and then its handle_response is called.
//
// The ABI has no error numbers. A guest that passes a pointer outside its
// memory, or calls a function when it makes no sense, is ended; the client
// gets 500 if nothing was sent yet.
package httpwasm
