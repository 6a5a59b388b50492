// Package tcp makes a connection handler of a Go program: a plugin that a
// listener with protocol = "tcp" hands its connections to.
//
//	package main
//
//	import (
//		"io"
//		"net"
//
//		"github.com/apphost/apphost/sdk/tcp"
//	)
//
//	func init() { tcp.Handle(echo) }
//
//	func echo(c net.Conn) error {
//		_, err := io.Copy(c, c)
//		return err
//	}
//
//	func main() {} // never called: the server calls the handler
//
// Build it as a WASI reactor and put it into the plugin folder:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugins/echo.wasm .
//
// # Programs
//
// Instead of a handler there can be an ordinary program, which accepts its
// connections itself, with [Accept] or with the [net.Listener] of [Listen]:
//
//	func main() {
//		for {
//			c, err := tcp.Accept()
//			if err != nil {
//				log.Fatal(err)
//			}
//			_, _ = io.Copy(c, c)
//			_ = c.Close()
//		}
//	}
//
// It is built without -buildmode:
//
//	GOOS=wasip1 GOARCH=wasm go build -o plugins/echo.wasm .
//
// Each connection finds the program as it was when it called Accept for the first
// time, with the values of all variables then: the loop is never seen to come round,
// unless the plugin's isolation is "child". So what is to be done once, such as
// reading the configuration, belongs before it. Neither [Handle] nor [Init] is for
// such a program.
//
// # Life of an instance
//
// Each connection has an instance of its own, in the state that the init
// functions and the function given to [Init] leave it in: what the handler
// changes in memory is gone for the next one. A server prepares an instance once
// and puts its memory back after each connection, or prepares one for each; it
// may prepare some that it never uses: what init functions do should be about the
// configuration only.
//
// What was drawn at random meanwhile is then the same on each connection: the
// order of maps, and the numbers of math/rand's functions. Where that matters,
// take crypto/rand, or seed a generator from it.
//
// # Blocking
//
// A Read or Write that waits stops the whole guest, its other goroutines and
// timers too. Bound it with a deadline: without one it waits for as long as
// the client does nothing, or until the listener's timeout if it has one. The
// outside world is reached only through the connection: package net can neither
// dial nor listen here.
//
// # Logging
//
// What is written with log/slog's default logger, or with package log, goes to
// the server's error log with the plugin's name and the connection: slog with
// its level and as "message key=value"; log at level info, or at the level that
// a line's first word names: DEBUG, INFO, WARN or ERROR. slog leaves out debug
// messages unless the guest calls slog.SetLogLoggerLevel. A guest that imports
// only log is smaller by 800 KB.
//
// A panic is logged with its stack and ends the instance; the client sees the
// connection end.
//
// # Testing
//
// On other platforms the package compiles against a stand-in for the server,
// so that handlers have unit tests: see package tcptest.
package tcp

import (
	"net"

	"github.com/apphost/apphost/sdk/abi"
	"github.com/apphost/apphost/sdk/internal/connguest"
)

// Handle makes h the guest's connection handler. It must be called from an
// init function, once: main does not run in a plugin.
//
// The server closes the connection when h returns. An error is logged, but for
// those, wrapped or not, with which every connection may end: io.EOF and the
// ones below. The client is not told.
//
// # Errors
//
// The connection's methods return *net.OpError, which wraps
// os.ErrDeadlineExceeded when the deadline passed or, without one, the
// listener's read_timeout or write_timeout (60 seconds unless configured),
// syscall.ECONNRESET or syscall.EPIPE when the client is gone, and
// net.ErrClosed after Close. The end of the stream is io.EOF, unwrapped.
//
// The connection also has the method CloseWrite() error, which tells the
// client that nothing more will be written.
func Handle(h func(c net.Conn) error) { connguest.Register(h) }

// Init makes f the function that prepares the guest, for example from its
// configuration. It runs in each instance, after all init functions and before
// the instance has a connection. It must be called from an init function, at
// most once.
//
// An error is logged and makes the plugin unusable: the server tries it out
// first, does not start with it, and a reload keeps what it had. One that comes
// up later ends the connection that the instance was for.
func Init(f func() error) { connguest.RegisterInit(f) }

// Accept waits for a connection, for a program that serves them in a loop. The one
// that it returned before is closed. It blocks the whole program, with all its
// goroutines: serve the connection before calling it again, or use [Listen].
//
// # Errors
//
// There are none today; a program ends on one. Outside WebAssembly it is
// errors.ErrUnsupported.
func Accept() (net.Conn, error) { return connguest.Accept() }

// Listen returns a listener for programs that serve each connection in a goroutine of
// its own, as most servers in Go do. Its Accept first waits until the connection
// before was closed, since there is one at a time. Closing the listener does nothing.
// Package net/http can serve on it, with 6 MB more of code.
func Listen() net.Listener { return connguest.Listener{} }

// Config is a value of the plugin's configuration, the section
// [plugin.NAME.config], as text. A table or a list is given as JSON. The key
// "" is the whole configuration as one JSON object. It may be called at any
// time after the init functions began to run.
func Config(key string) (value string, found bool) { return connguest.Config(key) }

// Stopping reports whether the server asked this child to leave, as on a
// reload. A handler whose connections live long says goodbye at the next good
// moment and returns.
func Stopping() bool { return connguest.Stopping() }

// ConnInfo is what is known about the connection besides its addresses.
type ConnInfo struct {
	// ID names the connection in the server's logs, such as g7-s3-42.
	ID string
	// Listener is the name of the listener that took it.
	Listener string
	// ServerName is the host name the client asked for in TLS, else empty.
	ServerName string
	// ALPN is the application protocol agreed on in TLS, else empty.
	ALPN string
}

// Info tells about the connection being served. Outside a handler it is zero.
func Info() ConnInfo {
	return ConnInfo{
		ID:         connguest.Info(abi.InfoConnID),
		Listener:   connguest.Info(abi.InfoListener),
		ServerName: connguest.Info(abi.InfoTLSServerName),
		ALPN:       connguest.Info(abi.InfoALPN),
	}
}
