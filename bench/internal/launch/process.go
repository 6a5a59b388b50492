// Package launch starts servers for benchmarks, this one and others, and ends
// them whatever happens.
package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/apphost/apphost/bench/internal/probe"
)

// Patience bounds each wait for a server.
const Patience = 60 * time.Second

// terminate is how servers are ended.
const terminate = syscall.SIGTERM

// Process is a started server and the processes that it starts.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended; read after ended
}

// Run starts cmd, and Stop ends it. read, if there is one, is called at once and
// reads the output to its end.
func Run(cmd *exec.Cmd, read func()) (*Process, error) {
	// Whoever holds the output longer than the server does is no reason to wait.
	cmd.WaitDelay = time.Second
	// Apache ends its whole process group, which therefore must not be ours. The
	// price is that Ctrl-C does not reach them, but who calls Run gets it; and
	// should we be killed, the kernel tells them to end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: terminate}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		if read != nil {
			read()
		}
		p.err = cmd.Wait()
		p.sweep()
		close(p.ended)
	}()
	return p, nil
}

// sweep kills what a server that has just ended left behind in its group.
func (p *Process) sweep() {
	left, err := probe.Group(p.PID())
	kill(left)
	if len(left) > 0 || err != nil {
		p.err = errors.Join(p.err, err, fmt.Errorf("%d processes were left behind", len(left)))
	}
}

func kill(pids []int) {
	for _, pid := range pids {
		if process, err := os.FindProcess(pid); err == nil {
			_ = process.Kill() // it may have ended meanwhile
		}
	}
}

// PID is the first process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal signals the first process.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Ended is closed when the first process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Tree is the first process and all below it.
func (p *Process) Tree() ([]int, error) {
	tree := []int{p.PID()}
	for at := 0; at < len(tree); at++ {
		children, err := probe.Children(tree[at])
		if err != nil && at == 0 {
			return nil, err // below it, whoever has gone meanwhile has no children
		}
		tree = append(tree, children...)
	}
	return tree, nil
}

// Stop tells the server to end, kills it and what is below it if it does not,
// and returns how long that took.
func (p *Process) Stop(sig os.Signal, patience time.Duration) (time.Duration, error) {
	asked := time.Now()
	_ = p.cmd.Process.Signal(sig) // it may have ended already
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.ended:
		return time.Since(asked), p.err
	case <-timeout.C:
	}
	tree, _ := p.Tree() // the same
	kill(tree)
	<-p.ended
	return time.Since(asked), fmt.Errorf("process %d did not end within %s of %v", p.PID(), patience, sig)
}

// FreePort is a port that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// AwaitPort returns when a connection to the port is accepted.
func (p *Process) AwaitPort(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server has ended before it listened: %w", errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("port %d: %w", port, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// End stops a server of which nothing more is asked.
func (p *Process) End() error {
	_, err := p.Stop(terminate, Patience/6)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == terminate {
		return nil // it did what it was told
	}
	return err
}
