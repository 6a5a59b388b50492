// Command conformance is conformance.c in Go: see there what it does.
package main

import (
	"bytes"
	"strconv"
)

//go:wasmimport http_handler enable_features
func enableFeatures(features uint32) uint32

//go:wasmimport http_handler get_config
func getConfig(p *byte, limit uint32) uint32

//go:wasmimport http_handler log_enabled
func logEnabled(level int32) uint32

//go:wasmimport http_handler log
func log(level int32, p *byte, n uint32)

//go:wasmimport http_handler get_method
func getMethod(p *byte, limit uint32) uint32

//go:wasmimport http_handler set_method
func setMethod(p *byte, n uint32)

//go:wasmimport http_handler get_uri
func getURI(p *byte, limit uint32) uint32

//go:wasmimport http_handler set_uri
func setURI(p *byte, n uint32)

//go:wasmimport http_handler get_protocol_version
func getProtocol(p *byte, limit uint32) uint32

//go:wasmimport http_handler get_source_addr
func getSourceAddr(p *byte, limit uint32) uint32

//go:wasmimport http_handler get_header_names
func getHeaderNames(kind uint32, p *byte, limit uint32) uint64

//go:wasmimport http_handler get_header_values
func getHeaderValues(kind uint32, name *byte, nameLen uint32, p *byte, limit uint32) uint64

//go:wasmimport http_handler set_header_value
func setHeader(kind uint32, name *byte, nameLen uint32, value *byte, valueLen uint32)

//go:wasmimport http_handler add_header_value
func addHeader(kind uint32, name *byte, nameLen uint32, value *byte, valueLen uint32)

//go:wasmimport http_handler remove_header
func removeHeader(kind uint32, name *byte, nameLen uint32)

//go:wasmimport http_handler read_body
func readBody(kind uint32, p *byte, limit uint32) uint64

//go:wasmimport http_handler write_body
func writeBody(kind uint32, p *byte, n uint32)

//go:wasmimport http_handler get_status_code
func getStatus() uint32

//go:wasmimport http_handler set_status_code
func setStatus(status uint32)

func main() {}

func init() { run(0) }

//go:wasmexport handle_request
func handleRequest() uint64 { return run(1) }

//go:wasmexport handle_response
func handleResponse(ctx, isError uint32) {
	report([]byte("handle_response "+text(ctx)+" "+text(isError)), "", nil)
	run(2)
}

func run(part int) (result uint64) {
	script := make([]byte, getConfig(nil, 0))
	p, n := pointer(script)
	getConfig(p, n)
	parts := bytes.Split(script, []byte("---\n"))
	if part == len(parts) {
		return 0
	}
	for line := range bytes.Lines(parts[part]) {
		do(bytes.TrimSuffix(line, []byte("\n")), &result)
	}
	return result
}

// filled is a buffer as the calls get it, longer than any limit that is used.
func filled() []byte { return bytes.Repeat([]byte("."), 80) }

func pointer(b []byte) (p *byte, n uint32) {
	if len(b) == 0 {
		return nil, 0
	}
	return &b[0], uint32(len(b))
}

func text(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// report logs what a line did: its result and one byte more of the buffer than
// might be written.
func report(line []byte, result string, shown []byte) {
	if result != "" {
		line = append(append(line[:len(line):len(line)], " -> "...), result...)
	}
	if shown != nil {
		line = append(append(line, ' '), bytes.ReplaceAll(shown, []byte{0}, []byte("|"))...)
	}
	p, n := pointer(line)
	log(0, p, n)
}

func do(line []byte, result *uint64) {
	fields := append(bytes.Split(line, []byte(" ")), nil, nil, nil)
	number := func(i int) uint32 { n, _ := strconv.ParseInt(string(fields[i]), 10, 64); return uint32(n) }
	a, aLen := pointer(fields[1])
	b, bLen := pointer(fields[2])
	c, cLen := pointer(fields[3])
	buf := filled()
	one := func(get func(*byte, uint32) uint32) {
		n := get(&buf[0], number(1))
		report(line, text(n), buf[:number(1)+1])
	}
	two := func(n uint64, limit uint32) {
		report(line, text(uint32(n>>32))+","+text(uint32(n)), buf[:limit+1])
	}
	switch string(fields[0]) {
	case "enable":
		report(line, text(enableFeatures(number(1))), nil)
	case "config":
		one(getConfig)
	case "level":
		report(line, text(logEnabled(int32(number(1)))), nil)
	case "log":
		log(int32(number(1)), b, bLen)
	case "method":
		one(getMethod)
	case "setmethod":
		setMethod(a, aLen)
	case "uri":
		one(getURI)
	case "seturi":
		setURI(a, aLen)
	case "proto":
		one(getProtocol)
	case "addr":
		one(getSourceAddr)
	case "wild":
		setMethod(&buf[0], 0xffff_ffff)
	case "names":
		two(getHeaderNames(number(1), &buf[0], number(2)), number(2))
	case "values":
		two(getHeaderValues(number(1), b, bLen, &buf[0], number(3)), number(3))
	case "set":
		setHeader(number(1), b, bLen, c, cLen)
	case "add":
		addHeader(number(1), b, bLen, c, cLen)
	case "remove":
		removeHeader(number(1), b, bLen)
	case "read":
		two(readBody(number(1), &buf[0], number(2)), number(2))
	case "write":
		writeBody(number(1), b, bLen)
	case "status":
		report(line, text(getStatus()), nil)
	case "setstatus":
		setStatus(number(1))
	case "return":
		*result = uint64(number(1))<<32 | uint64(number(2))
	default:
		panic("unknown call " + string(line))
	}
}
