package httpwasm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/apphost/apphost/host/exchange"
	"github.com/apphost/apphost/host/internal/hosttest"
)

type handlerFunc func(x exchange.Exchange) error

func (f handlerFunc) Serve(_ context.Context, x exchange.Exchange) error { return f(x) }

var errNext = errors.New("next failed")

// answerBody answers with the request's body in brackets, in pieces.
func answerBody(x exchange.Exchange) error {
	body, err := io.ReadAll(x.Body())
	for _, p := range [][]byte{[]byte("["), body, []byte("]")} {
		if _, writeErr := x.Write(p); err == nil {
			err = writeErr
		}
	}
	return err
}

func TestTheNextHandlerGetsTheRequest(t *testing.T) {
	fail := func(x exchange.Exchange) error {
		_ = x.Header(exchange.Response).Set([]byte("Secret"), []byte("half done"))
		_, _ = x.Write([]byte("secret"))
		return errNext
	}
	for _, test := range []struct {
		uri   string
		next  handlerFunc
		body  string
		fails bool
	}{
		{"/0-", answerBody, "[the body]", false},
		{"/0r", answerBody, "[ body]", false}, // the guest took three bytes
		{"/1r", answerBody, "[the body]", false},
		{"/0w", answerBody, "[new]", false},
		{"/1w", answerBody, "[new]", false},
		{"/2-", answerBody, "|", false},
		{"/3-", answerBody, "the body|", false}, // read again after the next handler
		{"/3r", answerBody, "the body|", false},
		{"/3w", answerBody, "new|", false},
		{"/0-", fail, "secret", true},
		{"/2-", fail, "E|", false},
	} {
		x := newFake(test.uri, "the body")
		err := newPlugin(t, "pass", Settings{}).ServeWith(t.Context(), x, test.next)
		if (err != nil) != test.fails || test.fails && !errors.Is(err, errNext) {
			t.Errorf("%s: %v", test.uri, err)
		}
		if got := x.out.String(); got != test.body {
			t.Errorf("%s: answered %q, want %q", test.uri, got, test.body)
		}
		if test.body != "secret" && len(x.headers[exchange.Response].values["Secret"]) > 0 {
			t.Errorf("%s: a failed handler's header is sent", test.uri)
		}
	}
}

func TestAFailureOfTheNextHandlerIsNotTheGuests(t *testing.T) {
	logger, log := hosttest.Logger()
	x := newFake("/0-", "")
	err := newPlugin(t, "pass", Settings{Logger: logger}).ServeWith(t.Context(), x, handlerFunc(func(exchange.Exchange) error { return errNext }))
	if !errors.Is(err, errNext) {
		t.Errorf("error %v", err)
	}
	if got := log.Take(); got != "" {
		t.Errorf("logged %q", got)
	}
}

func TestWhatIsHeldBackHasALimit(t *testing.T) {
	endless := handlerFunc(func(x exchange.Exchange) error {
		for piece := bytes.Repeat([]byte("x"), memoryEnd); ; {
			if _, err := x.Write(piece); err != nil {
				return err
			}
		}
	})
	x := newFake("/2-", "")
	if err := newPlugin(t, "pass", Settings{}).ServeWith(t.Context(), x, endless); err != nil {
		t.Fatal(err)
	}
	if got := x.out.String(); got != "E|" || x.status != 500 {
		t.Errorf("answered %d %q", x.status, got)
	}

	x = newFake("/1-", "")
	x.body = io.LimitReader(zeros{}, 1<<32)
	err := newPlugin(t, "pass", Settings{}).ServeWith(t.Context(), x, handlerFunc(answerBody))
	if !errors.Is(err, errTooMuchHeld) {
		t.Errorf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAChainOfPlugins(t *testing.T) {
	inner := newPlugin(t, "hello", Settings{})
	x := newFake("/2-", strings.Repeat("b", 10))
	if err := newPlugin(t, "pass", Settings{}).ServeWith(t.Context(), x, inner); err != nil {
		t.Fatal(err)
	}
	if got := x.out.String(); got != "|" {
		t.Errorf("answered %q", got)
	}
	x = newFake("/0-", "")
	if err := newPlugin(t, "pass", Settings{}).ServeWith(t.Context(), x, inner); err != nil {
		t.Fatal(err)
	}
	if got := x.out.String(); got != "hello 1\n" {
		t.Errorf("answered %q", got)
	}
}
