package web

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/host/exchange"
)

// Whoever looks for the reason of a 400 finds it in our words, with what was asked
// for where that is known.
func TestWhyARequestIsRefused(t *testing.T) {
	const line, chunked = "POST /a?b HTTP/1.1\r\n", "POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct {
		raw    string
		status int
		want   error
		known  bool // what was asked for
	}{
		{"nonsense\r\n\r\n", 400, errRequestLine, false},
		{"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errRequestLine, false},
		{"GET /\r\nHost: a\r\n\r\n", 400, errRequestLine, false},
		{"GET / HTTP/x\r\nHost: a\r\n\r\n", 400, errRequestLine, false},
		{"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTarget, false}, // known, but not this one
		{line + "\r\n", 400, errNoHost, true},
		{line + "Host: a\r\nHost: b\r\n\r\n", 400, errTwoHosts, true},
		{line + "Host: u@a\r\n\r\n", 400, errAuthority, true},
		{line + "Host: a\r\nX Y: b\r\n\r\n", 400, errName, true},
		{line + "Host: a\r\nX: a\x00b\r\n\r\n", 400, errValue, true},
		{line + "Host: a\r\nabc\r\n\r\n", 400, errNoColon, true},
		{line + "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400, errLengths, true},
		{line + "Host: a\r\nContent-Length: x\r\n\r\n", 400, errLength, true},
		{line + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400, errCoding, true},
		{line + "Host: a\r\nX: " + strings.Repeat("x", DefaultHeaderBytesMax) + "\r\n\r\n", 431, errHeaderTooLarge, true},
		{line + "Host: a\r\n", 408, errSlowHeader, true},
		{line[:9], 408, errSlowHeader, false},
		{chunked + "x\r\n", 400, errChunk, true},
		{chunked + "1\r\nabc\r\n", 400, errChunk, true},
		{chunked + "0\r\nContent-Length: 1\r\n\r\n", 400, errTrailer, true},
		{chunked + "0\r\nabc\r\n\r\n", 400, errNoColon, true},
		{chunked + "1\r\n", 408, errSlowBody, true},
		{chunked + "7f\r\n" + strings.Repeat("a", 0x7f) + "\r\n0\r\n\r\n", 413, errBodyTooLarge, true},
	} {
		var log, access bytes.Buffer
		f := serve(t, Config{
			Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), AccessLog: newAccessLog(t, accesslog.Common, &access),
			HeaderTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond, BodyBytesMax: 100,
			Mounts: []Mount{{Path: "/", Handler: handlerFunc(func(_ context.Context, x exchange.Exchange) error {
				_, err := io.Copy(io.Discard, x.Body())
				return err
			})}},
		})
		c := f.dial().send(tc.raw)
		if r, _ := c.response("POST"); r.StatusCode != tc.status {
			t.Errorf("%.60q: status %d, want %d", tc.raw, r.StatusCode, tc.status)
		}
		_ = c.Close()
		<-f.done
		got := log.String()
		if !strings.Contains(got, `"error":"`+tc.want.Error()) && !strings.Contains(got, tc.want.Error()+`"`) || strings.Count(got, "\n") != 1 {
			t.Errorf("%.60q: logged %s, want %v", tc.raw, got, tc.want)
		}
		asked := strings.Contains(got, `"method":"POST","target":"/a?b"`)
		if inLine := strings.Contains(access.String(), `"POST /a?b HTTP/1.1"`); asked != tc.known || inLine != tc.known {
			t.Errorf("%.60q: what was asked for is in the log: %v, and in the access log: %v; want %v", tc.raw, asked, inLine, tc.known)
		}
	}
}

func TestAClientThatEndsEarlyIsTheReason(t *testing.T) {
	var log bytes.Buffer
	f := serve(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Mounts: []Mount{{Path: "/", Handler: echo(t)}}})
	c := f.dial().send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	_ = c.CloseWrite()
	if r, _ := c.response("POST"); r.StatusCode != 400 {
		t.Errorf("status %d", r.StatusCode)
	}
	<-f.done
	if got := log.String(); !strings.Contains(got, errCutOff.Error()) || !strings.Contains(got, "target=/x") {
		t.Errorf("logged %s", got)
	}
	if got := reason(&net.OpError{Op: "read", Err: net.ErrClosed}); !strings.Contains(got.Error(), "connection broke") {
		t.Errorf("got %v", got)
	}
}
