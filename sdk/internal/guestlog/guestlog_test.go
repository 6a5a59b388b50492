package guestlog

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"

	"github.com/apphost/apphost/sdk/abi"
)

// What slog's default handler and package log write reaches the sink with its
// level. It holds the reliance on slog's "LEVEL message key=value" form.
func TestInstall(t *testing.T) {
	var got bytes.Buffer
	flags, output := log.Flags(), log.Writer()
	t.Cleanup(func() { log.SetFlags(flags); log.SetOutput(output) })
	Install(Sink{
		Enabled: func(level int32) bool { return level > abi.LevelDebug },
		Log:     func(level int32, message string) { fmt.Fprintf(&got, "%d|%s\n", level, message) },
	})
	defer slog.SetLogLoggerLevel(slog.SetLogLoggerLevel(slog.LevelDebug - 4))

	slog.Debug("dropped")
	slog.Log(t.Context(), slog.LevelDebug-4, "dropped")
	slog.Info("hello", "name", "a b", "n", 3)
	slog.Warn("careful")
	slog.Error("broken", slog.Group("g", "k", 1))
	slog.Log(t.Context(), slog.LevelInfo+2, "between")
	log.Print("plain words")
	log.Print("single")

	want := `0|hello name="a b" n=3
1|careful
2|broken g.k=1
0|between
0|plain words
0|single
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestPanicked(t *testing.T) {
	var got string
	s := Sink{Log: func(level int32, message string) { got = fmt.Sprint(level, " ", message) }}
	func() {
		defer func() { s.Panicked(recover()) }()
		panic("no such state")
	}()
	if !strings.HasPrefix(got, "2 panic: no such state\n\n") || !strings.Contains(got, "TestPanicked") {
		t.Errorf("want level 2, the value and the stack, got:\n%s", got)
	}
}
