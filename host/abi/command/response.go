package command

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/guest"
)

// headerBytesMax bounds a program's header.
const headerBytesMax = 64 << 10

var errNoHeader = errors.New("it ended before the empty line that ends the header")

// response is a program's standard output: first the header, then the body.
type response struct {
	x         exchange.Exchange
	header    []byte // what there is of it
	lines     int    // the length of its complete lines
	begun     bool   // the header was handed over
	err       error  // why it could not be: what follows is dropped
	elsewhere string // a path of this server that answers instead
	writeErr  error  // of the first write of the body that failed
	input     *requestBody
}

// Write takes all of p, so that the program runs on whatever its header is like. It
// ends a program that answers a request whose body broke off, as the answer is
// known, and one that writes on after a write that failed, as SIGPIPE would.
func (r *response) Write(p []byte) (int, error) {
	n := len(p)
	switch {
	case r.input != nil && r.input.err != nil:
		guest.Stop(r.input.err)
	case r.writeErr != nil:
		guest.Stop(r.writeErr)
	case r.err != nil:
		return n, nil
	}
	if !r.begun {
		r.header = append(r.header, p...)
		end, length := r.headerEnd()
		if end > headerBytesMax || end < 0 && len(r.header) > headerBytesMax {
			r.err = fmt.Errorf("its header is longer than %d bytes", headerBytesMax)
			r.header = nil
			return n, nil
		}
		if end < 0 {
			return n, nil
		}
		p = r.header[end+length:]
		if r.err = r.begin(r.header[:end]); r.err != nil {
			return n, nil
		}
		r.begun, r.header = true, nil
		if len(p) == 0 {
			return n, nil
		}
	}
	if _, err := r.x.Write(p); err != nil {
		r.writeErr = err
		return 0, err
	}
	return n, nil
}

// Ended implements guest.Ending: what is written goes nowhere.
func (r *response) Ended() bool {
	if r.err != nil || r.writeErr != nil {
		return true
	}
	x, ok := r.x.(exchange.Sink)
	return ok && x.Dropping()
}

// end says what is wrong with a response that is complete.
func (r *response) end() error {
	switch {
	case r.err != nil:
		return r.err
	case !r.begun:
		return errNoHeader
	}
	// Where that is not possible, the client is redirected.
	if x, ok := r.x.(exchange.Rerouter); ok && r.elsewhere != "" {
		err := x.Reroute([]byte(r.elsewhere))
		switch {
		case errors.Is(err, exchange.ErrInvalid):
			return fmt.Errorf("its Location is %.80q, which cannot be a path as it stands: escape spaces and #", r.elsewhere)
		case err != nil:
			return fmt.Errorf("its Location is %.80q: %w", r.elsewhere, err)
		}
		return nil
	}
	if x, ok := r.x.(exchange.Measurer); ok {
		return x.LengthError()
	}
	return nil
}

// headerEnd finds the empty line after the header: where the header ends, and
// how long that end is. It looks at each complete line once, and at the one that is
// not yet again with each write.
func (r *response) headerEnd() (end, length int) {
	for {
		line := bytes.IndexByte(r.header[r.lines:], '\n')
		if line < 0 {
			return -1, 0
		}
		if rest := bytes.TrimSuffix(r.header[r.lines:r.lines+line], []byte("\r")); len(rest) == 0 {
			return r.lines, line + 1
		}
		r.lines += line + 1
	}
}

// begin hands over the header.
func (r *response) begin(header []byte) error {
	status, fields := 0, 0
	location := ""
	out := r.x.Header(exchange.Response)
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		fields++
		name, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		if !ok {
			return fmt.Errorf("its header has the line %.80q, which has no colon", line)
		}
		switch strings.ToLower(string(name)) {
		case "status":
			code, _, _ := bytes.Cut(value, []byte(" "))
			n, err := strconv.Atoi(string(code))
			if err != nil || n < 200 || n > 999 {
				return fmt.Errorf("its header has the status %.80q; it must begin with a number from 200 to 999", value)
			}
			status = n
			continue
		case "location":
			location = string(value)
		}
		if err := out.Add(name, value); err != nil {
			return fmt.Errorf("its header has the line %.80q: %w", line, err)
		}
	}
	switch {
	case len(header) == 0:
		return errors.New("its header is empty")
	case status == 0 && location == "":
		return nil
	case status == 0:
		status = http.StatusFound
		// Such a Location alone asks for what is there (RFC 3875, section 6.2.2).
		if path := strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//"); path && fields == 1 {
			r.elsewhere = location
		}
	}
	if err := r.x.SetStatus(status); err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	return nil
}
