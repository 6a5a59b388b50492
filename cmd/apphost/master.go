package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/cmd/apphost/internal/sdnotify"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/logs"
	"github.com/apphost/apphost/mpm/prefork"
)

// masterRun is how a master is started.
type masterRun struct {
	configPath string
	detached   bool
	serves     func() // told to whoever waits for the start; may be nil
	takeover   *prefork.Takeover
}

// logPatience is how long the master waits for whoever reads its log and has
// stopped to, such as a pager. Clients do not notice so much.
const logPatience = 100 * time.Millisecond

// runMaster serves until it is stopped.
func runMaster(run masterRun) error {
	server, err := control.Listen(run.configPath)
	if err != nil {
		return err
	}
	return serve(server, run)
}

// serve is the master, from the start or from where another build left off,
// whose takeover it is.
func serve(server *control.Server, run masterRun) error {
	defer server.Close()

	log := &masterLog{w: logs.NewStream(stderrFD, logPatience)}
	log.use(config.Default().Log)
	ready := make(chan struct{})
	first := run.takeover == nil
	if !first {
		close(ready)
	}
	manager := serviceManager{sdnotify.New(os.Getenv("NOTIFY_SOCKET")), slog.New(log)}
	operator := &requests{configPath: run.configPath, program: programPath(), ready: ready}
	operator.master = prefork.NewMaster(prefork.Config{
		PID: os.Getpid(), ConfigPath: run.configPath, Environment: os.Environ(),
		Logger: slog.New(log), ErrorLog: log.w, Detached: run.detached,
		Hangup:     hangup(term.IsTerminal(stdinFD)),
		OnTerminal: onTerminal(),
		Starting:   log.useImage,
		Serving: func(s prefork.Status) {
			log.useImage(s.Image)
			if first {
				logBuild(slog.New(log))
			}
			announce(slog.New(log), s)
			manager.serving(s)
			if first {
				first = false
				close(ready)
				if run.serves != nil {
					run.serves()
				}
			}
		},
		Publish:   operator.publish,
		Reloading: manager.reloading, Failed: manager.failed, Stopping: manager.stopping,
		Spawning: manager.spawning,
		Upgrade: prefork.UpgradeConfig{
			Version: version, Args: programArgs(), HandOver: handingOver(server, run), Takeover: run.takeover,
			Adopted: func(img *image.Image) {
				log.useImage(img)
				server.Settle()
			},
		},
	})
	go server.Serve(operator.do)
	err := operator.master.Run()
	var start *prefork.StartError
	if errors.As(err, &start) {
		printWarnings(os.Stderr, start.Warnings)
		return start
	}
	if err != nil {
		return fmt.Errorf("run master: %w", err)
	}
	slog.New(log).Info("stopped")
	return nil
}

// masterLog is a handler whose settings follow the serving generation. Only
// the master's one goroutine changes or uses it.
type masterLog struct {
	w *logs.Stream
	slog.Handler
}

func (l *masterLog) use(settings config.Log) {
	l.Handler = newLogger(l.w, settings).Handler()
}

// useImage takes over a generation's settings.
func (l *masterLog) useImage(img *image.Image) {
	if settings, err := decodeLog(img); err == nil {
		l.use(settings)
	}
}

// Of the standard descriptors the first tells whether a person started the
// server.
const (
	stdinFD  = 0
	stderrFD = 2
)

// hangup tells a closed terminal, which sends SIGHUP to what ran in it, from an
// operator who sends SIGHUP: the first takes the terminal away.
func hangup(hadTerminal bool) func() prefork.Request {
	return func() prefork.Request {
		if hadTerminal && !term.IsTerminal(stdinFD) {
			return prefork.Stop
		}
		return prefork.Restart
	}
}

// onTerminal reports whether the server was started on a terminal, wherever its
// input and output go. Whoever runs on one hears of its changes of size.
func onTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = tty.Close()
	return true
}

// logBuild says at a start what it is that starts.
func logBuild(log *slog.Logger) {
	log.Info("started", "build", versionText(), "command_line", strings.Join(os.Args, " "))
}

// announce says what serves where.
func announce(log *slog.Logger, s prefork.Status) {
	for _, w := range s.Warnings {
		log.Warn("configuration", "warning", w)
	}
	plugins, listeners := decodeNotes(s.Notes)
	for _, p := range plugins {
		attrs := []any{"plugin", p.Name, "abi", p.ABI, "size", sizeText(p.Bytes), "instances", p.Instances}
		if p.Grants != "" {
			attrs = append(attrs, "grants", p.Grants)
		}
		log.Info("plugin loaded", attrs...)
	}
	for _, socket := range s.Sockets {
		l := listeners[socket.Name]
		address := socket.Address.String()
		if socket.Address.Network() == "unix" {
			address = mpm.UnixPrefix + address
		}
		switch {
		case l.Protocol == host.HTTP && socket.Address.Network() == "unix": // no URL leads there
			log.Info("listening", "listener", socket.Name, "address", address, "protocol", "http")
		case l.Protocol == host.HTTP:
			log.Info("listening", "listener", socket.Name, "address", address, "url", "http://"+reachable(socket.Address)+"/")
		default:
			log.Info("listening", "listener", socket.Name, "address", address, "plugin", l.Plugin)
		}
	}
	args := []any{"generation", s.Generation, "children", s.Children, "pid", os.Getpid()}
	if s.RollBack != nil {
		args = append(args, "as_generation", s.RollBack.To)
	}
	if s.Buckets > 1 {
		args = append(args, "buckets", s.Buckets)
	}
	if s.Older > 0 {
		args = append(args, "children_of_older_generations", s.Older)
	}
	log.Info("serving", args...)
}

// reachable is a way to an address from this machine: of all its addresses, the
// one that is always there.
func reachable(address net.Addr) string {
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return address.String()
}

// checkConfig tries out a configuration as a start or reload would.
func checkConfig(configPath, shown string, stdout io.Writer) error {
	notes, warnings, err := prefork.TryOut(prefork.Config{
		ConfigPath: configPath, Environment: os.Environ(),
		Logger: slog.New(slog.DiscardHandler),
	})
	printWarnings(stdout, warnings)
	if err != nil {
		return err
	}
	plugins, _ := decodeNotes(notes)
	for _, p := range plugins {
		grants := ""
		if p.Grants != "" {
			grants = "; grants: " + p.Grants
		}
		fmt.Fprintf(stdout, "plugin %s: ABI %s, %s%s\n", p.Name, p.ABI, sizeText(p.Bytes), grants)
	}
	_, err = fmt.Fprintf(stdout, "%s is good\n", shown)
	return err
}

// reload asks the running server to reload, or to restart, and says how it went.
func reload(configPath string, verb control.Verb, stdout io.Writer) error {
	var r prefork.Result
	if err := control.Ask(context.Background(), configPath, verb, &r); err != nil {
		return err
	}
	printWarnings(stdout, r.Warnings)
	if len(r.Errors) > 0 {
		lines := errorsOf(r)
		if r.Generation > 0 {
			lines = append(lines, fmt.Errorf("not reloaded; generation %d serves on", r.Generation))
		}
		return errors.Join(lines...)
	}
	_, err := fmt.Fprintf(stdout, "generation %d serves\n", r.Generation)
	return err
}

// errorsOf are the reasons of a failed request.
func errorsOf(r prefork.Result) []error {
	var lines []error
	for _, e := range r.Errors {
		lines = append(lines, errors.New(e))
	}
	return lines
}

func printWarnings(w io.Writer, lines []string) {
	for _, l := range lines {
		fmt.Fprintf(w, "apphost: warning: %s\n", l)
	}
}
