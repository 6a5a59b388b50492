package wasmbin

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// withData is a module with a memory of so many pages and segments of data.
func withData(pages byte, segments []segment) []byte {
	section := func(id byte, content []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
	data := binary.AppendUvarint(nil, uint64(len(segments)))
	for _, s := range segments {
		data = append(appendConst(append(data, activeSegment, opI32Const), int32(uint32(s.at))), opEnd)
		data = append(binary.AppendUvarint(data, uint64(len(s.data))), s.data...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), section(sectionMemory, []byte{1, 0, pages}),
		section(sectionExport, []byte("\x01\x06memory\x02\x00")), section(sectionData, data))
}

// memoryOf is what an instance of the module begins with, or nil if there is none.
func memoryOf(t *testing.T, r wazero.Runtime, wasm []byte) []byte {
	t.Helper()
	i, err := r.InstantiateWithConfig(t.Context(), wasm, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil
	}
	defer func() { _ = i.Close(context.Background()) }()
	memory, _ := i.Memory().Read(0, i.Memory().Size())
	return bytes.Clone(memory)
}

// Whatever order segments come in, and wherever they overlap or end: with fewer of
// them the memory is the same, and who cannot be instantiated cannot be afterwards.
func TestMergedDataMakesTheSameMemory(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	r := wazero.NewRuntime(t.Context())
	defer func() { _ = r.Close(context.Background()) }()
	fewer := 0
	for round := range 300 {
		var segments []segment
		at := uint64(random.IntN(2000))
		for range random.IntN(30) {
			switch random.IntN(12) {
			case 0:
				at = uint64(random.IntN(4000)) // back, or over another one
			case 1:
				at += 64 << 10 // out of the memory, now and then
			}
			data := make([]byte, random.IntN(40))
			for i := range data {
				data[i] = byte(random.IntN(256))
			}
			segments = append(segments, segment{at, data})
			at += uint64(len(data) + random.IntN(gapBytesMax*3/2))
		}
		wasm := withData(3, segments)
		merged := MergeData(wasm)
		if _, err := Decode(merged); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if !bytes.Equal(merged, wasm) {
			fewer++
		}
		if want, got := memoryOf(t, r, wasm), memoryOf(t, r, merged); !bytes.Equal(got, want) {
			t.Fatalf("round %d: the memory differs; segments %v", round, segments)
		}
	}
	if fewer < 100 {
		t.Errorf("only %d modules have fewer segments", fewer)
	}
}

func TestDataIsMergedWhereThatIsSafe(t *testing.T) {
	one := []byte{1}
	for name, test := range map[string]struct {
		segments []segment
		want     int
	}{
		"close to each other":  {[]segment{{10, one}, {11, one}, {12 + gapBytesMax, one}}, 1},
		"far from each other":  {[]segment{{10, one}, {12 + gapBytesMax, one}}, 2},
		"falling":              {[]segment{{20, one}, {10, one}}, 2},
		"over another one":     {[]segment{{10, one}, {10, one}}, 2},
		"a gap that is filled": {[]segment{{14, one}, {10, one}, {16, one}}, 3},
		"behind a way back":    {[]segment{{2000, one}, {10, one}, {12, one}, {14, one}}, 2},
		"up to another one":    {[]segment{{20, one}, {10, one}, {20, one}, {30, one}}, 3},
		"the upper half":       {[]segment{{1 << 31, one}, {1<<31 + 2, one}}, 1},
	} {
		merged := MergeData(withData(1, test.segments))
		_, content := find(merged, sectionData)
		if got := int((&reader{b: merged, off: content}).u32()); got != test.want {
			t.Errorf("%s: %d segments, want %d", name, got, test.want)
		}
	}
}

// find is where a section is, and where its content begins.
func find(wasm []byte, id byte) (start, content int) {
	r := reader{b: wasm, off: headerBytes}
	for r.off < len(wasm) {
		start = r.off
		found := r.byte() == id
		size := int(r.u32())
		if found {
			return start, r.off
		}
		r.off += size
	}
	panic("BUG: a module without that section")
}

// A module that names its segments keeps them, and one that would grow, too.
func TestDataThatIsNamedIsNotMerged(t *testing.T) {
	plain := withData(1, []segment{{10, []byte{1}}, {12, []byte{1}}})
	at, _ := find(plain, sectionData)
	counted := slices.Concat(plain[:at], []byte{sectionDataCount, 1, 2}, plain[at:])
	if _, err := Decode(counted); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(MergeData(plain), plain) || !bytes.Equal(MergeData(counted), counted) {
		t.Error("merged with a section that counts them, or not at all")
	}
	var sparse []segment
	for n := range 1000 {
		sparse = append(sparse, segment{uint64(n) * (gapBytesMax + 1), []byte{1}})
	}
	if wasm := withData(3, sparse); !bytes.Equal(MergeData(wasm), wasm) {
		t.Error("a module became many times as large")
	}
}

func TestSignedNumbersAreReadAsTheyAreWritten(t *testing.T) {
	for _, v := range []int32{0, 1, -1, 63, 64, -64, -65, 8191, 8192, 1<<31 - 1, -1 << 31, 128, -129} {
		b := appendConst(nil, v)
		r := reader{b: b}
		if got := r.s32(); got != v || r.err != nil || r.off != len(b) {
			t.Errorf("%d: % x is read as %d, %v", v, b, got, r.err)
		}
	}
}

// FuzzData holds that no bytes panic, and that what is rewritten can be read.
func FuzzData(f *testing.F) {
	f.Add(withData(1, []segment{{10, []byte{1}}, {12, []byte{2}}, {5, nil}}))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x0b\x80\x80"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if _, err := Decode(wasm); err != nil {
			return
		}
		merged := MergeData(wasm)
		if len(merged) > 2*len(wasm)+slackBytes+64 {
			t.Fatalf("%d bytes became %d", len(wasm), len(merged))
		}
		if _, err := Decode(merged); err != nil {
			t.Fatalf("rewritten to what cannot be read: %v", err)
		}
	})
}
