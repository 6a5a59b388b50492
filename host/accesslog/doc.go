// Package accesslog writes one line for each request, in the formats of httpd
// or as JSON, and has the names that requests are known by.
//
// What a client sends can neither end a line nor pass for another field: it is
// escaped, and cut to a length. A line is one write of at most LineBytesMax
// bytes, so that the lines of many processes do not mix, in a pipe neither.
package accesslog
