package logs

import "github.com/apphost/apphost/mpm/internal/sys"

// Handed is how a Table's files travel to another program in the same process,
// as JSON: as they are open, for the files at their paths may be others by now,
// or none. Fields may be added.
type Handed struct {
	// Standard is what standard error was at the start, 0 once given up. By now
	// descriptor 2 may lead to a log file.
	Standard sys.FD       `json:"standard"`
	Files    []HandedFile `json:"files"`
}

// HandedFile is an open log file.
type HandedFile struct {
	Path string `json:"path"`
	FD   sys.FD `json:"fd"`
}

// Descriptors are all that are named, and 0.
func (h *Handed) Descriptors() []sys.FD {
	fds := []sys.FD{h.Standard}
	for _, f := range h.Files {
		fds = append(fds, f.FD)
	}
	return fds
}

// Export describes all files, which stay the table's.
func (t *Table) Export() Handed {
	h := Handed{Standard: max(t.standard, 0), Files: []HandedFile{}}
	for _, f := range t.files {
		if f.opened() {
			h.Files = append(h.Files, HandedFile{f.path, f.fd})
		}
	}
	return h
}

// Import makes the table of what Export described, in the same process. Nobody
// uses its files yet: Acquire each generation's, then call Tidy.
func Import(h Handed) *Table {
	t := &Table{standard: h.Standard, output: ownOutput()}
	if h.Standard == 0 {
		t.standard = sys.None
	}
	for _, f := range h.Files {
		t.files = append(t.files, &File{path: f.Path, fd: f.FD})
	}
	return t
}

// Tidy closes the files that nobody uses.
func (t *Table) Tidy() {
	for i := len(t.files) - 1; i >= 0; i-- {
		if f := t.files[i]; f.users == 0 {
			f.users++
			t.Release([]*File{f})
		}
	}
}
