package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// server answers the queries of connections, one at a time.
type server struct {
	zone        *zone
	idleTimeout time.Duration
	// stopping reports whether the server wants its child to leave.
	stopping func() bool
}

// lengthBytes is the size of the length before each message.
const lengthBytes = 2

// serve answers queries in the order they come until the client is done, idle
// for too long, or sends what is no query. Answers to queries that arrived
// together leave together.
func (s server) serve(c net.Conn) error {
	in := bufio.NewReaderSize(c, 4<<10)
	out := bufio.NewWriterSize(c, 4<<10)
	for {
		if err := c.SetReadDeadline(time.Now().Add(s.idleTimeout)); err != nil {
			return err
		}
		query, err := readMessage(in)
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // done or idle, maybe in the middle of a message
		}
		if err != nil {
			return fmt.Errorf("read query: %w", err)
		}
		answer := s.zone.answer(query)
		if answer == nil {
			return out.Flush() // not a query at all: there is nothing to reply to
		}
		// An error sticks to the writer: Flush returns it.
		_, _ = out.Write(binary.BigEndian.AppendUint16(nil, uint16(len(answer))))
		_, _ = out.Write(answer)
		if messageBuffered(in) {
			continue
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		if s.stopping() {
			return nil // between two queries is the moment to leave
		}
	}
}

// readMessage reads one message and the length before it.
func readMessage(in *bufio.Reader) ([]byte, error) {
	var length [lengthBytes]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, unexpected(err)
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(in, message); err != nil {
		return nil, unexpected(err)
	}
	return message, nil
}

// unexpected takes a message that breaks off for the end of the stream: a
// client that leaves is no fault of the server's.
func unexpected(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// messageBuffered reports whether the next message has arrived whole, so that
// reading it does not wait.
func messageBuffered(in *bufio.Reader) bool {
	if in.Buffered() < lengthBytes {
		return false
	}
	length, err := in.Peek(lengthBytes)
	return err == nil && in.Buffered() >= lengthBytes+int(binary.BigEndian.Uint16(length))
}
