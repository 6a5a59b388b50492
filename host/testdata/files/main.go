// Files is an ordinary program: each line of its input is something to do with
// files, and each line of its output says how that went.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := append(strings.Fields(in.Text()), "", "")
		said, err := do(words[0], words[1], words[2])
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			fmt.Println(errno)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(said)
		}
	}
}

func do(what, name, more string) (string, error) {
	switch what {
	case "read":
		text, err := os.ReadFile(name)
		return string(text), err
	case "write":
		return "ok", os.WriteFile(name, []byte(more), 0o600)
	case "append":
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		_, err = f.WriteString(more)
		return "ok", errors.Join(err, f.Sync(), f.Close())
	case "list":
		entries, err := os.ReadDir(name)
		return fmt.Sprint(entries), err
	case "mkdir":
		return "ok", os.Mkdir(name, 0o700)
	case "remove":
		return "ok", os.Remove(name)
	case "rename":
		return "ok", os.Rename(name, more)
	case "symlink":
		return "ok", os.Symlink(name, more)
	case "truncate":
		return "ok", os.Truncate(name, 2)
	case "times":
		return "ok", os.Chtimes(name, time.Time{}, time.Unix(1e9, 0))
	case "size":
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(info.Size(), " ", info.ModTime().Unix()), nil
	case "leak": // opens, and never closes
		for range 10 {
			if _, err := syscall.Open(name, syscall.O_RDONLY, 0); err != nil {
				return "", err
			}
		}
		return "ok", nil
	case "raw": // asks the host for a name below the first folder that might be there
		var fd int32
		return "ok", errnoOf(pathOpen(3, 0, unsafe.StringData(name), uint32(len(name)), 0, 2, 0, 0, &fd))
	case "env":
		return strings.Join(os.Environ(), " "), nil
	case "args":
		return fmt.Sprintf("%q", os.Args), nil
	case "exit":
		os.Exit(0)
	}
	return "", errors.New("unknown: " + what)
}

func errnoOf(n uint32) error {
	if n == 0 {
		return nil
	}
	return syscall.Errno(n)
}

//go:wasmimport wasi_snapshot_preview1 path_open
func pathOpen(dir int32, flags uint32, name *byte, length, open uint32, rights, inherited uint64, fdflags uint32, fd *int32) uint32
