package httpwasm

import (
	"slices"
	"strings"
	"testing"

	"github.com/apphost/apphost/sdk/abi"
)

// FuzzHeaderEncoding reads fields back from the lists that a guest gets of them,
// in a buffer of any size: they are whole, or nothing was written.
func FuzzHeaderEncoding(f *testing.F) {
	f.Add("X-A", "1", "2", "X-B", "3", uint16(64))
	f.Add("x-a", "", "", "X-A", "", uint16(3))
	f.Add("Cookie", "a=b; c=d", "\xff", "é", "x, y", uint16(10))
	f.Add("a", "", "", "b", "", uint16(0))
	fw := newForward(f, nil, Settings{})
	f.Fuzz(func(t *testing.T, name, value1, value2, other, value3 string, limit uint16) {
		if !isToken([]byte(name)) || !isToken([]byte(other)) || strings.EqualFold(name, other) {
			t.Skip("no fields of a header")
		}
		const at, buf, room = 0, 16 << 10, 32 << 10
		if len(name) > buf || len(value1)+len(value2)+len(other)+len(value3) > room {
			t.Skip("no room for them")
		}
		x := newFake("/", "")
		header := x.headers[abi.HeaderRequest]
		for _, field := range [][2]string{{name, value1}, {name, value2}, {other, value3}} {
			if header.Add([]byte(field[0]), []byte(field[1])) != nil {
				t.Skip("not a field")
			}
		}
		fw.t, fw.s.x, fw.s.phase = t, x, inRequest
		check := func(fn string, want []string, args ...uint32) {
			t.Helper()
			guard := slices.Repeat([]byte{0xa5}, room)
			copy(fw.bytes(buf, room), guard)
			size := 0
			for _, item := range want {
				size += len(item) + 1
			}
			result, err := fw.call(fn, append(args, buf, min(uint32(limit), room))...)
			if err != nil || result != uint64(len(want))<<32|uint64(size) {
				t.Fatalf("%s: %#x, %v, want %d of %d bytes", fn, result, err, len(want), size)
			}
			written := 0
			if size <= int(min(uint32(limit), room)) {
				written = size
				got := strings.Split(fw.peek(buf, uint32(size)), "\x00")
				slices.Sort(got)
				all := append(slices.Clone(want), "")
				slices.Sort(all)
				if !slices.Equal(got, all) {
					t.Errorf("%s: %q, want %q", fn, got, all)
				}
			}
			if rest := fw.bytes(buf+uint32(written), uint32(room-written)); !slices.Equal(rest, guard[written:]) {
				t.Errorf("%s wrote behind its %d bytes", fn, written)
			}
		}
		check("get_header_names", []string{strings.ToLower(name), strings.ToLower(other)}, abi.HeaderRequest)
		fw.poke(at, name)
		check("get_header_values", []string{value1, value2}, abi.HeaderRequest, at, uint32(len(name)))
	})
}
