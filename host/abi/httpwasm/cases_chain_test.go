package httpwasm

import (
	"io"
	"net/http"

	"github.com/apphost/apphost/host/exchange"
)

// tell answers with what the next handler gets: method, target, two headers, body
// and trailers.
func tell(x exchange.Exchange) error {
	body, err := io.ReadAll(x.Body())
	if err != nil {
		return err
	}
	text := string(x.Method()) + " " + string(x.URI())
	for _, name := range []string{"X-A", "Content-Length"} {
		x.Header(exchange.Request).Values([]byte(name), func(v []byte) bool { text += " " + name + "=" + string(v); return true })
	}
	text += " " + string(body)
	x.Header(exchange.RequestTrailers).Values([]byte("X-Sum"), func(v []byte) bool { text += " sum=" + string(v); return true })
	out := x.Header(exchange.Response)
	if err := out.Set([]byte("X-Next"), []byte("was here")); err != nil {
		return err
	}
	_, err = x.Write([]byte(text))
	return err
}

// created answers 201 in two pieces, with a length and a trailer.
func created(x exchange.Exchange) error {
	if err := x.SetStatus(http.StatusCreated); err != nil {
		return err
	}
	if err := x.Header(exchange.Response).Set([]byte("Content-Length"), []byte("4")); err != nil {
		return err
	}
	for _, piece := range []string{"ab", "cd"} {
		if _, err := x.Write([]byte(piece)); err != nil {
			return err
		}
	}
	return x.Header(exchange.ResponseTrailers).Set([]byte("X-Sum"), []byte("1"))
}

// refuse fails before it has answered.
func refuse(exchange.Exchange) error { return errNext }

// orderCases are about the next handler and handle_response.
func orderCases() []conformance {
	const hello = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
	chunked := "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
	const noBody = "GET / "
	was := http.Header{"X-Next": {"was here"}}
	return []conformance{
		{name: "next", scripts: []string{"return 0 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0"}, body: noBody, header: was},
		{name: "next with a context", scripts: []string{"return 16 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 16 0"}, body: noBody},
		{name: "next with the largest context", scripts: []string{"return -1 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 4294967295 0"}, body: noBody},
		{name: "context without next", scripts: []string{"return 16 0\n"}, next: handlerFunc(tell)},
		{name: "16 is not next", scripts: []string{"return 16 16\n"}, next: handlerFunc(tell)},
		{name: "no next handler", scripts: []string{"return 0 1\n"}, log: []string{"handle_response 0 0"}, status: 404, body: "404 Not Found\n"},
		{name: "next failed", scripts: []string{"return 3 1\n"}, next: handlerFunc(refuse), log: []string{"handle_response 3 1"}, status: 500, body: failedBody},
		{name: "next failed, and is replaced", scripts: []string{"enable 2\nreturn 3 1\n---\nstatus\nsetstatus 503\nwrite 1 sorry\n"}, next: handlerFunc(refuse), log: []string{
			"enable 2 -> 2", "handle_response 3 1", "status -> 500",
		}, status: 503, body: "sorry"},
		{
			name: "changed request", request: hello, scripts: []string{"setmethod PUT\nseturi /y?z\nset 0 X-A 1\nwrite 0 re\nwrite 0 placed\nreturn 0 1\n"}, next: handlerFunc(tell),
			log: []string{"handle_response 0 0"}, body: "PUT /y?z X-A=1 Content-Length=8 replaced",
		},
		{name: "no request target is /", request: hello, scripts: []string{"seturi\nwrite 0\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0"}, body: "POST / Content-Length=0 "},
		{name: "taken request", request: hello, scripts: []string{"read 0 2\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{"read 0 2 -> 0,2 he.", "handle_response 0 0"}, body: "POST /x Content-Length=3 llo"},
		{name: "buffered request", request: hello, scripts: []string{"enable 1\nread 0 2\nreturn 0 1\n---\nread 0 9\nread 0 9\n"}, next: handlerFunc(tell), log: []string{
			"enable 1 -> 1", "read 0 2 -> 0,2 he.", "handle_response 0 0", "read 0 9 -> 1,5 hello.....", "read 0 9 -> 1,0 ..........",
		}, body: "POST /x Content-Length=5 hello"},
		{name: "chunked request", request: chunked, scripts: []string{"enable 5\nread 0 2\nreturn 0 1\n---\nvalues 2 x-sum 9\n"}, next: handlerFunc(tell), log: []string{
			"enable 5 -> 5", "read 0 2 -> 0,2 he.", "handle_response 0 0", "values 2 x-sum 9 -> 1,2 1|........",
		}, body: "POST /x hello sum=1"},
		{name: "request after next", request: hello, scripts: []string{"return 0 1\n---\nread 0 9\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0", misuseAfter("read_body", noNext)}, status: 500, body: failedBody},
		{name: "changed request after next", scripts: []string{"enable 7\nreturn 0 1\n---\nset 0 a b\n"}, next: handlerFunc(tell), log: []string{"enable 7 -> 7", "handle_response 0 0", misuseAfter("set_header_value", noNext)}, status: 500, body: failedBody},
		{name: "read response", scripts: []string{"enable 2\nreturn 0 1\n---\nstatus\nread 1 3\nread 1 9\nvalues 1 content-length 9\n"}, next: handlerFunc(created), log: []string{
			"enable 2 -> 2", "handle_response 0 0", "status -> 201", "read 1 3 -> 0,3 abc.", "read 1 9 -> 1,1 d.........", "values 1 content-length 9 -> 1,2 4|........",
		}, status: 201, body: "abcd", trailer: http.Header{"X-Sum": {"1"}}},
		{name: "replaced response", scripts: []string{"enable 6\nreturn 0 1\n---\nsetstatus 202\nset 1 x-a b\nwrite 1 longer\nwrite 1 -than-it\nvalues 3 X-Sum 9\nremove 3 X-Sum\n"}, next: handlerFunc(created), log: []string{
			"enable 6 -> 6", "handle_response 0 0", "values 3 X-Sum 9 -> 1,2 1|........",
		}, status: 202, body: "longer-than-it", header: http.Header{"X-A": {"b"}, "Content-Length": {"14"}}},
		{name: "emptied response", scripts: []string{"enable 2\nreturn 0 1\n---\nwrite 1\n"}, next: handlerFunc(tell), log: []string{"enable 2 -> 2", "handle_response 0 0"}, header: http.Header{"Content-Length": {"0"}}},
		{
			name: "replaced response to HEAD", request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", scripts: []string{"enable 2\nreturn 0 1\n---\nwrite 1 abcdef\n"}, next: handlerFunc(created),
			log: []string{"enable 2 -> 2", "handle_response 0 0"}, status: 201, header: http.Header{"Content-Length": {"6"}},
		},
		{name: "response that is not buffered", scripts: []string{"return 0 1\n---\nstatus\nvalues 1 x-next 9\nread 1 9\n"}, next: handlerFunc(tell), log: []string{
			"handle_response 0 0", "status -> 200", "values 1 x-next 9 -> 1,9 was here|.", misuseAfter("read_body", "no response is buffered"),
		}, status: 500, body: failedBody},
		{name: "changed response that is not buffered", scripts: []string{"return 0 1\n---\nset 1 a b\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0", misuseAfter("set_header_value", noNext)}, status: 500, body: failedBody},
		{name: "written response that is not buffered", scripts: []string{"write 1 a\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{"failed: " + errAnsweredTwice.Error()}, status: 500, body: failedBody},
		{name: "written response that is buffered", scripts: []string{"enable 2\nwrite 1 a:\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{"enable 2 -> 2", "handle_response 0 0"}, body: "a:" + noBody},
		{name: "response header before next", scripts: []string{"set 1 x-a b\nsetstatus 203\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0"}, status: 203, body: noBody, header: http.Header{"X-A": {"b"}}},
		{name: "feature that comes too late", scripts: []string{"return 0 1\n---\nenable 7\n"}, next: handlerFunc(tell), log: []string{"handle_response 0 0", "enable 7 -> 4"}, body: noBody},
	}
}

// chainCases are about two and three links.
func chainCases() []conformance {
	const hello = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
	return []conformance{
		{name: "three links", scripts: []string{"return 1 1\n", "return 2 1\n", "return 3 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 3 0", "handle_response 2 0", "handle_response 1 0"}, body: "GET / "},
		{name: "the second answers", scripts: []string{"return 1 1\n", "write 1 no\nsetstatus 403\n", "return 3 1\n"}, next: handlerFunc(tell), log: []string{"handle_response 1 0"}, status: 403, body: "no"},
		{name: "the last has no next handler", scripts: []string{"return 1 1\n", "return 2 1\n"}, log: []string{"handle_response 2 0", "handle_response 1 0"}, status: 404, body: "404 Not Found\n"},
		{name: "each changes the request", request: hello, scripts: []string{"add 0 X-A 1\nwrite 0 one\nreturn 0 1\n", "add 0 X-A 2\nenable 1\nread 0 2\nread 0 2\nreturn 0 1\n"}, next: handlerFunc(tell), log: []string{
			"enable 1 -> 1", "read 0 2 -> 0,2 on.", "read 0 2 -> 1,1 e..", "handle_response 0 0", "handle_response 0 0",
		}, body: "POST /x X-A=1 X-A=2 Content-Length=3 one"},
		{name: "a kept body is read in pieces", request: hello, scripts: []string{"enable 1\nread 0 1\nreturn 0 1\n---\nread 0 9\n", "read 0 2\nread 0 2\nread 0 2\n"}, log: []string{
			"enable 1 -> 1", "read 0 1 -> 0,1 h.", "read 0 2 -> 0,2 he.", "read 0 2 -> 0,2 ll.", "read 0 2 -> 1,1 o..", "handle_response 0 0", "read 0 9 -> 1,5 hello.....",
		}},
		{name: "each replaces the response", scripts: []string{"enable 2\nreturn 0 1\n---\nread 1 9\nwrite 1 outer\n", "enable 2\nreturn 0 1\n---\nread 1 9\nwrite 1 inner\n"}, next: handlerFunc(created), log: []string{
			"enable 2 -> 2", "enable 2 -> 2", "handle_response 0 0", "read 1 9 -> 1,4 abcd......", "handle_response 0 0", "read 1 9 -> 1,5 inner.....",
		}, status: 201, body: "outer", trailer: http.Header{"X-Sum": {"1"}}},
		{name: "the inner one fails", scripts: []string{"return 1 1\n", "setstatus 1\n"}, log: []string{misuse("set_status_code", "not a final status code"), "handle_response 1 1"}, status: 500, body: failedBody},
		{name: "the outer one answers for it", scripts: []string{"enable 2\nreturn 1 1\n---\nread 1 30\nsetstatus 502\n", "set 1 x-a b\nsetstatus 1\n"}, log: []string{
			"enable 2 -> 2", misuse("set_status_code", "not a final status code"), "handle_response 1 1", "read 1 30 -> 1,26 500 Internal Server Error\n.....",
		}, status: 502, body: failedBody, header: http.Header{"X-A": nil}},
		{name: "the end takes too long", scripts: []string{"return 1 1\n"}, next: handlerFunc(tooLong), log: []string{"handle_response 1 1"}, status: 504, body: lateBody},
		{name: "the end takes too long for one that looks", scripts: []string{"enable 2\nreturn 1 1\n---\nstatus\n"}, next: handlerFunc(tooLong), log: []string{
			"enable 2 -> 2", "handle_response 1 1", "status -> 504",
		}, status: 504, body: lateBody},
	}
}

const lateBody = "504 Gateway Timeout\n"

func tooLong(exchange.Exchange) error { return exchange.ErrTimeout }
