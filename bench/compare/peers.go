package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apphost/apphost/bench/internal/launch"
	"github.com/apphost/apphost/bench/internal/probe"
)

// contender is who takes part in a case.
type contender struct {
	name  string
	ours  bool
	start func(b *bed) (running, error)
}

// running is a server that listens.
type running struct {
	proc *launch.Process
	port int
	path string // what to ask for by HTTP
}

// peer is a contender that a command starts. prepare returns it, given a folder
// of its own and a port.
func peer(name string, prepare func(b *bed, dir string, port int) (*exec.Cmd, error)) contender {
	return contender{name: name, start: func(b *bed) (running, error) {
		dir, err := b.folder()
		if err != nil {
			return running{}, err
		}
		port, err := launch.FreePort()
		if err != nil {
			return running{}, err
		}
		cmd, err := prepare(b, dir, port)
		if err != nil {
			return running{}, err
		}
		output, err := os.Create(filepath.Join(dir, "output"))
		if err != nil {
			return running{}, err
		}
		defer output.Close()
		cmd.Stdout, cmd.Stderr = output, output
		p, err := launch.Run(cmd, nil)
		if err != nil {
			return running{}, err
		}
		if err := p.AwaitPort(b.ctx, port); err != nil {
			return running{}, errors.Join(err, p.End(), tail(output.Name()), tail(filepath.Join(dir, "error.log")))
		}
		return running{proc: p, port: port, path: "/hello.txt"}, nil
	}}
}

// tail is the end of what a server has written, as an error.
func tail(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // it has none
	}
	return noted(string(text[max(0, len(text)-500):]))
}

// fill writes a template of bench/peers to a file, with @NAME@ replaced.
func fill(file string, values map[string]string, templates ...string) error {
	var text bytes.Buffer
	for _, t := range templates {
		raw, err := os.ReadFile(filepath.Join("bench/peers", t))
		if err != nil {
			return err
		}
		text.Write(raw)
	}
	filled := text.String()
	for name, value := range values {
		filled = strings.ReplaceAll(filled, "@"+name+"@", value)
	}
	return os.WriteFile(file, []byte(filled), 0o644)
}

func nginx() contender {
	return peer("nginx return", func(_ *bed, dir string, port int) (*exec.Cmd, error) {
		binary, err := find("nginx")
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(dir, "nginx.conf")
		values := map[string]string{"DIR": dir, "PORT": strconv.Itoa(port)}
		return exec.Command(binary, "-p", dir, "-e", "stderr", "-c", conf), fill(conf, values, "nginx/nginx.conf")
	})
}

func workerd() contender {
	return peer("workerd (JavaScript)", func(_ *bed, dir string, port int) (*exec.Cmd, error) {
		binary, err := find("workerd")
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(dir, "workerd.capnp")
		return exec.Command(binary, "serve", conf), errors.Join(
			fill(conf, map[string]string{"PORT": strconv.Itoa(port)}, "workerd/workerd.capnp"),
			fill(filepath.Join(dir, "worker.js"), nil, "workerd/worker.js"))
	})
}

// find is the path of a server: on PATH, where Debian has those for root, or
// where bench/README.md has npm put them.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	places := []string{"/usr/sbin"}
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(cache, "apphost-bench/node_modules/.bin"))
	}
	for _, place := range places {
		if path, err := exec.LookPath(filepath.Join(place, name)); err == nil {
			return path, nil
		}
	}
	return "", missing(name)
}

func netHTTP() contender {
	return peer(netHTTPName, func(b *bed, _ string, port int) (*exec.Cmd, error) {
		binary, err := b.build("nethttp", func(path string) error {
			return probe.Command(nil, "go", "build", "-o", path, "./bench/peers/nethttp")
		})
		return exec.Command(binary, "-listen", address(port)), err
	})
}

func goHost(name, kind string) contender {
	return peer(name, func(b *bed, _ string, port int) (*exec.Cmd, error) {
		binary, err := b.goPeer("gohosts")
		if err != nil {
			return nil, err
		}
		wasm, err := b.guest("hello")
		return exec.Command(binary, "-listen", address(port), "-kind", kind, "-guest", wasm), err
	})
}

func wasmtime(name string, args ...string) contender {
	return peer(name, func(b *bed, _ string, port int) (*exec.Cmd, error) {
		binary, err := b.goPeer("wasmtime")
		if err != nil {
			return nil, err
		}
		wasm, err := b.guest("hello")
		return exec.Command(binary, append([]string{"-listen", address(port), "-guest", wasm}, args...)...), err
	})
}

func epollEcho() contender {
	return peer("C epoll, one process", func(b *bed, _ string, port int) (*exec.Cmd, error) {
		binary, err := b.cProgram("echo", "bench/peers/epoll/echo.c")
		return exec.Command(binary, strconv.Itoa(port)), err
	})
}

// bare is the least that a prefork server can be: what its model costs.
func bare(protocol string, children int) contender {
	return peer(bareName, func(b *bed, _ string, port int) (*exec.Cmd, error) {
		binary, err := b.cProgram("bare", "bench/peers/bare/prefork.c")
		return exec.Command(binary, strconv.Itoa(port), strconv.Itoa(children), protocol), err
	})
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
