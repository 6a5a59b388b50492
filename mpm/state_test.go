package mpm

import "testing"

// Programs that read the scoreboard of Apache httpd know the states by these
// numbers and letters.
func TestStatesHaveTheClassicNumbers(t *testing.T) {
	for i, want := range []struct {
		state  State
		letter byte
	}{
		{StateDead, '.'},
		{StateStarting, 'S'},
		{StateReady, '_'},
		{StateReading, 'R'},
		{StateWriting, 'W'},
		{StateKeepalive, 'K'},
		{StateLogging, 'L'},
		{StateDNS, 'D'},
		{StateClosing, 'C'},
		{StateGraceful, 'G'},
		{StateIdleKill, 'I'},
	} {
		if want.state != State(i) || want.state.Letter() != want.letter {
			t.Errorf("state %d is %d, letter %c; want letter %c", i, uint32(want.state), want.state.Letter(), want.letter)
		}
	}
}
