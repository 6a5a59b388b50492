// Package prefork is the master that keeps a pool of child processes, and the
// two models of how a child serves: prefork, one connection at a time, and
// worker, several, each on a thread of the scoreboard and a goroutine.
//
// The way of a connection: the kernel wakes one child with a free thread out of
// epoll, the child accepts (accept.go), wraps the socket (conn.go, or worker.go
// and threadconn.go), calls the handler, and lets the peer finish reading
// (linger.go). The master is not involved.
//
// What the master promises:
//
//   - It never runs guest code and never parses what a client or a guest
//     wrote. A new generation is tried out by a candidate process; the master
//     takes over a sealed image and validated options, or a list of errors.
//   - A generation serves only after all the children it starts with are
//     ready. Until then, and on any failure, the one before it serves on.
//   - A generation whose children die soon after a reload gives way to the last
//     one that has proved itself.
//   - Once a reload is reported done, no child of an older generation accepts
//     another connection. (An idle one that does not leave within two seconds,
//     because something has stopped it, is not waited for.)
//   - A child is told to leave by closing its generation's pipe or by one
//     byte in the pod, never by a signal, so nothing it serves is cut short.
//     Signals are for stopping now, for children past their deadline and for
//     those that are still starting when their generation ends, and go
//     through a pidfd, so never to a stranger.
//   - A graceful stop costs no connection, not even one that waits to be
//     accepted: the queues are emptied before the generation is retired. (A
//     handshake that takes longer than settleTime may be lost.)
//   - Children may be divided into buckets with a socket each for every
//     listener, and a reload to another number of them costs no connection;
//     see bucket.go here and in listen.
//   - Another build of the program can take over the process with all of this.
//     If it cannot, nothing changes; see takeover.go.
//   - Decisions come from the master's private table. The scoreboard only
//     says which children are starting, idle or busy.
//
// What a child promises: when its master dies or its generation ends it
// finishes what it serves and leaves; an idle one leaves at once. One that is
// still loading is ended with its master by the kernel, and sees the end of its
// generation when it has loaded.
//
// Parent is a state machine without goroutines, clocks or system calls of its
// own: events and times go in, calls of its system interface come out. Run
// drives it with the real ones.
package prefork
