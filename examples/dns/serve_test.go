//go:build !wasip1

package main

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/apphost/apphost/sdk/tcp/tcptest"
)

// message is a query with the length before it.
func message(t *testing.T, id uint16, name string) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
}

// readReply reads one reply and returns its id and number of answers.
func readReply(t *testing.T, c io.Reader) (id uint16, answers int) {
	t.Helper()
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, reply); err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		t.Fatal(err)
	}
	return m.ID, len(m.Answers)
}

func start(t *testing.T, idleTimeout string) *tcptest.Server {
	return tcptest.Start(t, tcptest.Options{Config: map[string]string{
		"origin": "example.org.", "zone": testZone, "idle_timeout": idleTimeout,
	}})
}

func send(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// Queries one after another, then several at once, then one in two halves of
// which the first comes with a whole one: each is answered in its turn.
func TestSeveralQueriesOnAConnection(t *testing.T) {
	s := start(t, "1m")
	c := s.Dial()
	var id uint16
	expect := func() {
		t.Helper()
		id++
		if got, answers := readReply(t, c); got != id || answers != 2 {
			t.Fatalf("got reply %d with %d answers, want reply %d with 2", got, answers, id)
		}
	}
	for n := range 3 {
		send(t, c, message(t, uint16(n+1), "web.example.org."))
		expect()
	}
	var burst []byte
	for n := range 200 {
		burst = append(burst, message(t, uint16(n+4), "web.example.org.")...)
	}
	send(t, c, burst)
	for range 200 {
		expect()
	}
	last := message(t, id+2, "web.example.org.")
	send(t, c, append(message(t, id+1, "web.example.org."), last[:9]...))
	expect()
	send(t, c, last[9:])
	expect()

	c.(*net.TCPConn).CloseWrite()
	if err := s.Wait(); err != nil {
		t.Errorf("the client is done: %v", err)
	}
}

// What is no query ends the connection, but not before the queries that came
// with it are answered.
func TestJunkBehindAQuery(t *testing.T) {
	for _, junk := range []string{"\x00\x00", "\x00\x03abc"} {
		s := start(t, "1m")
		c := s.Dial()
		send(t, c, append(message(t, 1, "web.example.org."), junk...))
		if id, answers := readReply(t, c); id != 1 || answers != 2 {
			t.Errorf("%q: got reply %d with %d answers", junk, id, answers)
		}
		if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
			t.Errorf("%q: then %q, %v", junk, rest, err)
		}
		if err := s.Wait(); err != nil {
			t.Errorf("%q: %v", junk, err)
		}
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	s := start(t, "1ms")
	c := s.Dial()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("an idle client is no fault: %v", err)
	}
}

func TestConnectionClosedInAQuery(t *testing.T) {
	s := start(t, "1m")
	c := s.Dial()
	send(t, c, message(t, 1, "web.example.org.")[:5])
	c.Close()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStoppingServerLeavesBetweenQueries(t *testing.T) {
	s := start(t, "1m")
	c := s.Dial()
	s.Stop()
	send(t, c, append(message(t, 1, "web.example.org."), message(t, 2, "web.example.org.")...))
	for range 2 {
		readReply(t, c)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) != 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}
