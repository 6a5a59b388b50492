package mem

import "bytes"

// patch is the image of some pages without their zeros, of which the memory of a
// language's runtime is full. It takes two thirds of the time to copy the pages, when
// neither these nor the image are in the processor's caches.
type patch struct {
	pages   []uint64 // where each begins
	runs    []run    // what they consist of
	data    []byte   // of all runs that are not zeros
	touched byte     // what apply has read goes somewhere
}

// run is a part of a page.
type run struct {
	at, bytes uint32 // fits the memory of a guest
	data      int    // where its bytes are in the data, or zeros
}

const (
	zeros = -1
	// lineBytes is what is looked at at once.
	lineBytes = 128
	imagePage = 4096
)

func (p *patch) empty() bool { return len(p.runs) == 0 }

func (p *patch) clear() { p.pages, p.runs, p.data = p.pages[:0], p.runs[:0], p.data[:0] }

// make is for the spans of an image.
func (p *patch) make(image []byte, spans []span) {
	p.clear()
	for _, s := range spans {
		for at := s.from; at < s.to; at += lineBytes {
			if at%imagePage == 0 {
				p.pages = append(p.pages, at)
			}
			p.add(uint32(at), image[at:at+lineBytes])
		}
	}
}

// add adds a line to the last run, if it belongs there.
func (p *patch) add(at uint32, line []byte) {
	data := zeros
	if !bytes.Equal(line, make([]byte, lineBytes)) {
		data = len(p.data)
		p.data = append(p.data, line...)
	}
	if n := len(p.runs); n > 0 {
		last := &p.runs[n-1]
		if last.at+last.bytes == at && (last.data == zeros) == (data == zeros) {
			last.bytes += lineBytes
			return
		}
	}
	p.runs = append(p.runs, run{at, lineBytes, data})
}

// apply puts the pages into memory.
func (p *patch) apply(memory []byte) {
	// The processor looks all of the pages up at once, instead of each when it gets
	// there.
	for _, at := range p.pages {
		p.touched |= memory[at]
	}
	for i := range p.runs {
		r := &p.runs[i]
		part := memory[r.at : r.at+r.bytes]
		if r.data == zeros {
			clear(part)
		} else {
			copy(part, p.data[r.data:])
		}
	}
}
