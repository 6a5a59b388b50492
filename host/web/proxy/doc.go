// Package proxy answers requests with what another HTTP server, the upstream,
// answers.
//
// A request goes out as HTTP/1.1, in pieces as they come from the client, and
// its response comes back in pieces as they come from the upstream, at the same
// time: neither body is ever whole in memory, and an upstream may answer before
// it has read all. Trailers go both ways. Where the length of a body is known it
// is sent with Content-Length, else in chunks; what the client or a handler
// before wrote in Content-Length and Transfer-Encoding is never passed on. A
// client that goes away ends the request to the upstream within a quarter of a
// second, and an upstream that breaks off cuts the response off visibly. As with
// most servers, a client that closes its side of the connection before it has
// the response counts as gone.
//
// The header is the client's, with these changes:
//
//   - Fields about the connection are removed, those that Connection names too
//     (RFC 9110, section 7.6.1).
//   - Host stays the client's, because an upstream makes links and checks the
//     origin of a request by it.
//   - X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto say who asked for
//     what. All fields of the kind that a client sends (X-Forwarded-*, X-Real-Ip,
//     Forwarded) are removed, since anybody can write them; but not when the
//     client came by a Unix socket, as that is a proxy of the operator's own.
//   - Via names this server.
//
// An upgrade such as websocket is passed on if the upstream agrees, and from
// then on bytes go both ways until both sides have closed, or were silent for
// Config.Timeout. An upgrade to h2c is not: a client could then send requests
// that no plugin or route has seen.
//
// A request that could not be sent because the upstream had closed a kept
// connection is sent once more on a new one, if nothing of a response came, the
// method is idempotent, and no body was read. A redirect of the upstream is the
// client's to follow, and no proxy of the environment is used. Responses with
// status 1xx are not passed on; the client is asked for its body when the
// upstream asks.
package proxy
