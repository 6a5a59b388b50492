// Package command runs programs: modules with a main function (WASI's _start)
// that import nothing but WASI preview 1. They need no SDK and know nothing of
// this server.
//
// On a connection (inetd style) standard input and output are the connection;
// the end of what the peer sends is the end of the input, and the connection
// is closed when the program ends. Its environment says who is there, in the
// words of UCSPI-TCP: PROTO, TCPREMOTEIP, TCPREMOTEPORT, TCPLOCALIP and
// TCPLOCALPORT.
//
// For a request (CGI/1.1, RFC 3875, and what WAGI has added) the environment
// describes the request, standard input is its body, and standard output a
// header, an empty line, and the body, which is sent as it is written.
//
// The arguments are the request's path and the parts of its query, as WAGI has them,
// unless the program was given others; in those, ${SCRIPT_NAME} and ${ARGS} stand for
// these two.
//
// Either way standard error goes to the log, each run has an instance of its
// own, and main runs once in it.
//
// Differences from RFC 3875, all on the safe side: the header Proxy is not
// passed on (a program would take HTTP_PROXY for its proxy), and nor are
// Authorization, which WAGI keeps back too, and what is about the connection.
package command

import (
	"github.com/apphost/apphost/host/guest"
	"github.com/apphost/apphost/sdk/abi"
)

// Name is what the ABI is called.
const Name = "command"

// ABI describes programs to the engine.
func ABI() guest.ABI {
	return guest.ABI{
		Name:     Name,
		Required: []guest.ExportFunc{{Name: abi.Start, Type: guest.Signature("", "")}},
	}
}
