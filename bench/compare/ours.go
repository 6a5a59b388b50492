package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/apphost/apphost/bench/internal/launch"
)

// setup is how the server of this repository is set up for a case. What is left
// out of it is at its default.
type setup struct {
	model      string
	children   int // as many from the start to the end
	threads    int // of each child; only worker
	protocol   string
	guest      string
	isolation  string // "" is the default
	cpuTimeout string // "" is the default
	debug      bool   // log what children do
}

func (u setup) config() string {
	var b strings.Builder
	level := "info"
	if u.debug {
		level = "debug"
	}
	fmt.Fprintf(&b, "[log]\nlevel = %q\nformat = \"json\"\n[mpm]\nmodel = %q\n", level, u.model)
	if u.model == "worker" {
		all := u.children * u.threads
		fmt.Fprintf(&b, "start_servers = %d\nthreads_per_child = %d\nmin_spare_threads = 1\nmax_spare_threads = %d\nmax_request_workers = %d\nserver_limit = %d\n",
			u.children, u.threads, all+u.threads+1, all, 2*u.children)
	} else {
		fmt.Fprintf(&b, "start_servers = %d\nmin_spare_servers = 1\nmax_spare_servers = %d\nmax_request_workers = %d\nserver_limit = %d\n",
			u.children, u.children+1, u.children, 2*u.children)
	}
	b.WriteString("[plugins]\ncache_dir = \"cache\"\n[http]\nidle_timeout = \"10m\"\n")
	fmt.Fprintf(&b, "[[listen]]\nname = \"bench\"\naddress = \"127.0.0.1:0\"\nprotocol = %q\n", u.protocol)
	if u.protocol == "tcp" {
		fmt.Fprintf(&b, "plugin = %q\n", u.guest)
	}
	fmt.Fprintf(&b, "[plugin.%s]\n", u.guest)
	if u.isolation != "" {
		fmt.Fprintf(&b, "isolation = %q\n", u.isolation)
	}
	if u.cpuTimeout != "" {
		fmt.Fprintf(&b, "cpu_timeout = %q\n", u.cpuTimeout)
	}
	return b.String()
}

// prepare makes a folder to start the server in.
func (u setup) prepare(b *bed) (string, error) {
	dir, err := b.folder()
	if err != nil {
		return "", err
	}
	wasm, err := b.guest(u.guest)
	if err != nil {
		return "", err
	}
	return dir, launch.Prepare(dir, u.config(), map[string]string{u.guest: wasm})
}

// launch starts the server in a prepared folder and waits until it serves.
func (u setup) launch(b *bed, dir string) (*launch.Server, running, error) {
	binary, err := b.server()
	if err != nil {
		return nil, running{}, err
	}
	s, err := launch.Start(binary, dir)
	if err != nil {
		return nil, running{}, err
	}
	if _, err := s.Await(b.ctx, "serving"); err != nil {
		return nil, running{}, errors.Join(err, s.End())
	}
	for _, e := range s.Events() {
		if e.Msg != "listening" {
			continue
		}
		_, port, err := net.SplitHostPort(e.Address)
		if err != nil {
			return nil, running{}, errors.Join(err, s.End())
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, running{}, errors.Join(err, s.End())
		}
		return s, running{proc: s.Process, port: number, path: "/" + u.guest + "/"}, nil
	}
	return nil, running{}, errors.Join(errors.New("the server named no listener"), s.End())
}

// ours is the server as a contender.
func ours(name string, u setup) contender {
	return contender{name: name, ours: true, start: func(b *bed) (running, error) {
		dir, err := u.prepare(b)
		if err != nil {
			return running{}, err
		}
		_, r, err := u.launch(b, dir)
		return r, err
	}}
}
