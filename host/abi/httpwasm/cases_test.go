package httpwasm

import (
	"net/http"
	"strconv"
)

// The texts of misuses.
const (
	sent    = "the response header was already sent"
	invalid = "not a valid header name or value"
)

func misuse(function, cause string) string {
	return "failed: handle_request misused the host: " + function + ": " + cause
}

func misuseAfter(function, cause string) string {
	return "failed: handle_response misused the host: " + function + ": " + cause
}

const failedBody = "500 Internal Server Error\n"

// fieldCases are about everything but bodies, in one request without a next
// handler.
func fieldCases() []conformance {
	named := "GET /v1.0/hi?name=panda HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\nX-Multi: 1\r\nx-multi: 22\r\nX-Empty:\r\n\r\n"
	return []conformance{
		{
			name: "method", request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", scripts: []string{"method 0\nmethod 3\nmethod 4\nmethod 9\n"},
			log: []string{"method 0 -> 4 .", "method 3 -> 4 ....", "method 4 -> 4 POST.", "method 9 -> 4 POST......"},
		},
		{
			name: "uri", request: named, scripts: []string{"uri 18\nuri 19\nuri 0\n"},
			log: []string{"uri 18 -> 19 ...................", "uri 19 -> 19 /v1.0/hi?name=panda.", "uri 0 -> 19 ."},
		},
		{
			name: "uri stays encoded", request: "GET /a%20b?c=d%26e HTTP/1.1\r\nHost: h\r\n\r\n", scripts: []string{"uri 20\n"},
			log: []string{"uri 20 -> 14 /a%20b?c=d%26e......."},
		},
		{name: "protocol version", scripts: []string{"proto 8\nproto 7\n"}, log: []string{"proto 8 -> 8 HTTP/1.1.", "proto 7 -> 8 ........"}},
		{name: "protocol version 1.0", request: "GET / HTTP/1.0\r\n\r\n", scripts: []string{"proto 8\n"}, log: []string{"proto 8 -> 8 HTTP/1.0."}},
		{name: "source address", scripts: []string{"addr 15\naddr 14\n"}, log: []string{"addr 15 -> 15 CLIENT.", "addr 14 -> 15 ..............."}},
		{name: "config", scripts: []string{"config 23\nconfig 3\n"}, log: []string{
			"config 23 -> 23 ---\nconfig 23\nconfig 3\n.", "config 3 -> 23 ....",
		}},
		{name: "levels", scripts: []string{"level -1\nlevel 0\nlevel 1\nlevel 2\nlevel 3\nlevel 9\n"}, log: []string{
			"level -1 -> 0", "level 0 -> 1", "level 1 -> 1", "level 2 -> 1", "level 3 -> 0", "level 9 -> 0",
		}},
		{name: "log", scripts: []string{"log -1 a\nlog 0 b\nlog 1 c\nlog 2 d\nlog 3 e\nlog 9 f\nlog -9 g\nlog 0\n"}, log: []string{"b", "WARN c", "ERROR d", ""}},
		{name: "names", request: named, scripts: []string{"names 0 27\nnames 0 28\nnames 0 29\nnames 1 9\n"}, log: []string{
			"names 0 27 -> 4,28 ............................", "names 0 28 -> 4,28 host|cookie|x-multi|x-empty|.",
			"names 0 29 -> 4,28 host|cookie|x-multi|x-empty|..", "names 1 9 -> 0,0 ..........",
		}},
		{name: "values", request: named, scripts: []string{"values 0 X-MULTI 4\nvalues 0 x-multi 5\nvalues 0 X-Empty 3\nvalues 0 x-none 3\nvalues 0 host 2\nvalues 0 cookie 0\n"}, log: []string{
			"values 0 X-MULTI 4 -> 2,5 .....", "values 0 x-multi 5 -> 2,5 1|22|.", "values 0 X-Empty 3 -> 1,1 |...",
			"values 0 x-none 3 -> 0,0 ....", "values 0 host 2 -> 1,2 h|.", "values 0 cookie 0 -> 1,4 .",
		}},
		{name: "change request header", request: named, scripts: []string{"set 0 x-multi 3\nadd 0 X-Multi 4\nadd 0 X-New\nremove 0 cookie\nremove 0 none\nvalues 0 x-multi 9\nnames 0 40\n"}, log: []string{
			"values 0 x-multi 9 -> 2,4 3|4|......", "names 0 40 -> 4,27 host|x-multi|x-empty|x-new|..............",
		}},
		{
			name: "change response header", scripts: []string{"set 1 ETag 1\nadd 1 Set-Cookie a=b\nadd 1 set-cookie c=d\nset 1 gone x\nremove 1 Gone\nvalues 1 Set-Cookie 8\nnames 1 20\n"},
			log: []string{
				"values 1 Set-Cookie 8 -> 2,8 a=b|c=d|.", "names 1 20 -> 2,16 etag|set-cookie|.....",
			}, header: http.Header{"Etag": {"1"}, "Set-Cookie": {"a=b", "c=d"}, "Gone": nil},
		},
		{name: "status", scripts: []string{"status\nsetstatus 404\nstatus\n"}, log: []string{"status -> 200", "status -> 404"}, status: 404},
		{name: "nothing is an empty 200", scripts: []string{""}, header: http.Header{"Content-Length": {"0"}}},
		{name: "header after the first write", scripts: []string{"write 1 a\nset 1 x-late y\nsetstatus 201\n"}, status: 201, body: "a", header: http.Header{"X-Late": {"y"}}},
		{name: "bad kind", scripts: []string{"names 4 9\n"}, log: []string{misuse("get_header_names", "unknown kind of header")}, status: 500, body: failedBody},
		{name: "empty name", scripts: []string{"values 0  9\n"}, log: []string{misuse("get_header_values", "the header name is empty")}, status: 500, body: failedBody},
		{name: "bad header", scripts: []string{"set 1 a\rb c\n"}, log: []string{misuse("set_header_value", invalid)}, status: 500, body: failedBody},
		{name: "bad value", scripts: []string{"set 1 a b\rc\n"}, log: []string{misuse("set_header_value", invalid)}, status: 500, body: failedBody},
		{name: "bad status", scripts: []string{"setstatus 99\n"}, log: []string{misuse("set_status_code", "not a final status code")}, status: 500, body: failedBody},
		{name: "bad method", scripts: []string{"setmethod\n"}, log: []string{misuse("set_method", "not a valid method")}, status: 500, body: failedBody},
		{name: "bad uri", scripts: []string{"seturi a\n"}, log: []string{misuse("set_uri", "not a valid request target")}, status: 500, body: failedBody},
		{name: "outside of the memory", scripts: []string{"wild\n"}, log: []string{misuse("set_method", outside)}, status: 500, body: failedBody},
		{name: "features of the start", scripts: []string{"enable 0\nenable 4\n===\nenable 0\nenable 3\n"}, log: []string{"enable 0 -> 0", "enable 4 -> 4", "enable 0 -> 4", "enable 3 -> 7"}},
		{name: "unknown features", scripts: []string{"enable 8\nenable " + strconv.Itoa(1<<31-1) + "\n"}, log: []string{"enable 8 -> 0", "enable 2147483647 -> 7"}},
	}
}

// bodyCases are about bodies and trailers, in one request without a next handler.
func bodyCases() []conformance {
	post := func(header, body string) string {
		return "POST / HTTP/1.1\r\nHost: h\r\n" + header + "\r\n\r\n" + body
	}
	hello := post("Content-Length: 5", "hello")
	chunks := post("Transfer-Encoding: chunked\r\nTrailer: X-Sum", "3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n")
	return []conformance{
		{name: "read", request: hello, scripts: []string{"read 0 2\nread 0 2\nread 0 2\nread 0 2\n"}, log: []string{
			"read 0 2 -> 0,2 he.", "read 0 2 -> 0,2 ll.", "read 0 2 -> 1,1 o..", "read 0 2 -> 1,0 ...",
		}},
		{name: "read once", request: hello, scripts: []string{"read 0 9\n"}, log: []string{"read 0 9 -> 1,5 hello....."}},
		{name: "read chunks", request: chunks, scripts: []string{"read 0 4\nread 0 9\n"}, log: []string{"read 0 4 -> 0,4 hell.", "read 0 9 -> 1,1 o........."}},
		{name: "read none", scripts: []string{"read 0 2\n"}, log: []string{"read 0 2 -> 1,0 ..."}},
		{name: "read into nothing", request: hello, scripts: []string{"read 0 0\n"}, log: []string{misuse("read_body", "the buffer is empty")}, status: 500, body: failedBody},
		{name: "read a bad kind", scripts: []string{"read 2 9\n"}, log: []string{misuse("read_body", "unknown kind of body")}, status: 500, body: failedBody},
		{name: "read no response", scripts: []string{"read 1 9\n"}, log: []string{misuse("read_body", "no response is buffered")}, status: 500, body: failedBody},
		{name: "write replaces, then appends", request: hello, scripts: []string{"write 0 a\nwrite 0 b\nread 0 9\n"}, log: []string{"read 0 9 -> 1,2 ab........"}},
		{name: "write nothing in its place", request: hello, scripts: []string{"write 0\nread 0 9\n"}, log: []string{"read 0 9 -> 1,0 .........."}},
		{name: "one write", scripts: []string{"write 1 abc\n"}, body: "abc", header: http.Header{"Content-Length": {"3"}}},
		{name: "more writes", scripts: []string{"write 1 abc\nwrite 1\nwrite 1 d\n"}, body: "abcd", header: http.Header{"Content-Length": nil}},
		{
			name: "header behind the second write", scripts: []string{"write 1 a\nwrite 1 b\nset 1 x-late y\n"},
			log: []string{misuse("set_header_value", sent)}, body: "ab", header: http.Header{"X-Late": nil}, cut: true,
		},
		{
			name: "status behind the second write", scripts: []string{"write 1 a\nwrite 1 b\nsetstatus 201\n"},
			log: []string{misuse("set_status_code", sent)}, body: "ab", cut: true,
		},
		{name: "buffered writes", scripts: []string{"enable 2\nwrite 1 abc\nwrite 1 d\nset 1 x-late y\n"}, log: []string{"enable 2 -> 2"}, body: "abcd", header: http.Header{"Content-Length": {"4"}, "X-Late": {"y"}}},
		{name: "request trailers", request: chunks, scripts: []string{"enable 4\nread 0 9\nvalues 2 X-Sum 9\nnames 2 9\nset 2 X-Sum 3\nadd 2 a b\nremove 2 A\nvalues 2 x-sum 2\n"}, log: []string{
			"enable 4 -> 4", "read 0 9 -> 1,5 hello.....", "values 2 X-Sum 9 -> 2,4 1|2|......", "names 2 9 -> 1,6 x-sum|....", "values 2 x-sum 2 -> 1,2 3|.",
		}},
		{
			name: "response trailers", scripts: []string{"enable 4\nset 3 X-Sum 1\nadd 3 x-sum 2\nvalues 3 X-SUM 4\nwrite 1 a\n"}, log: []string{"enable 4 -> 4", "values 3 X-SUM 4 -> 2,4 1|2|."},
			body: "a", trailer: http.Header{"X-Sum": {"1", "2"}},
		},
		{name: "response trailers behind more writes", scripts: []string{"enable 4\nwrite 1 a\nwrite 1 b\nset 3 X-Sum 1\n"}, log: []string{"enable 4 -> 4"}, body: "ab", trailer: http.Header{"X-Sum": {"1"}}},
		{name: "trailers that are not enabled", request: chunks, scripts: []string{"read 0 9\nnames 2 9\nvalues 2 x-sum 9\nset 3 a b\n"}, log: []string{
			"read 0 9 -> 1,5 hello.....", "names 2 9 -> 0,0 ..........", "values 2 x-sum 9 -> 0,0 ..........", misuse("set_header_value", "trailers are not enabled"),
		}, status: 500, body: failedBody},
	}
}
