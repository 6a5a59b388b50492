package main

import (
	"strings"
	"testing"
)

// A reload sets the options of a socket that stays, and refuses by name what
// cannot be set.
func TestE2ESocketOptionsChangeOnReload(t *testing.T) {
	s := startPlain(t)
	with := func(options string) {
		s.Configure(strings.Replace(plain, "name = \"echo\"", "name = \"echo\"\n"+options, 1))
	}
	with("defer_accept = \"3m\"\nsend_buffer = \"64KiB\"")
	s.Reload()
	if err := echo(s.Addr("echo"), strings.Repeat("x", 1<<20)); err != nil {
		t.Error(err)
	}

	s.Configure(plain)
	out, code := s.Run("reload", "-c", "config.toml")
	if code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	wantOneLine(t, out, []string{"listen on 127.0.0.1:0", "send_buffer"})

	with("send_buffer = \"32KiB\"")
	s.Reload()
	if err := echo(s.Addr("echo"), "ping"); err != nil {
		t.Error(err)
	}
}
