// Package sys is the room for what the process model asks of Linux: memfds,
// epoll, pipes, sockets and processes, each as a small value that owns its
// descriptor. It decides nothing, logs nothing, and knows neither children
// nor generations.
//
// Every descriptor it makes is close-on-exec; what a child is to inherit is
// listed in [Command].Files and nothing else gets through.
package sys
