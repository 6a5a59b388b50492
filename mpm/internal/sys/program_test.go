package sys

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOpenProgramTakesProgramsOnly(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/true\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, path := range []string{dir, filepath.Join(dir, "none"), file("plain", 0o600), os.DevNull} {
		if fd, err := OpenProgram(path); err == nil {
			_ = fd.Close()
			t.Errorf("%s was opened as a program", path)
		}
	}
	fd, err := OpenProgram(file("program", 0o700))
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	self, err := OpenProgram(Self)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	one, err1 := fd.ID()
	other, err2 := self.ID()
	if err1 != nil || err2 != nil || one == other {
		t.Errorf("two programs are %v and %v; %v, %v", one, other, err1, err2)
	}
}
