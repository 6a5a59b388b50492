package main

import (
	"context"

	"github.com/apphost/apphost/cmd/apphost/internal/control"
	"github.com/apphost/apphost/mpm/prefork"
)

// requests does what comes through the control socket.
type requests struct {
	master     *prefork.Master
	configPath string
	program    string          // where it was started from
	ready      <-chan struct{} // closed when the first generation serves
}

func (q *requests) do(ctx context.Context, r control.Request) any {
	switch r.Verb {
	case control.Stop:
		return q.ask(ctx, prefork.Stop)
	case control.GracefulStop:
		return q.ask(ctx, prefork.GracefulStop)
	case control.Status:
		s, err := q.master.Inspect(ctx)
		if err != nil {
			return ended
		}
		return q.report(s)
	case control.ReopenLogs:
		return q.ask(ctx, prefork.ReopenLogs)
	case control.Release:
		result, err := q.master.Release(ctx, r.Plugin)
		if err != nil {
			return ended
		}
		return result
	case control.Reload:
		return q.askReady(ctx, prefork.Reload)
	case control.Restart:
		return q.askReady(ctx, prefork.Restart)
	case control.Upgrade:
		select {
		case <-q.ready:
		case <-ctx.Done():
			return ended
		}
		return q.upgrade(ctx, r)
	}
	panic("BUG: the control socket passed on the request " + string(r.Verb))
}

// askReady waits for a server that starts.
func (q *requests) askReady(ctx context.Context, what prefork.Request) prefork.Result {
	select {
	case <-q.ready:
	case <-ctx.Done():
		return ended
	}
	return q.ask(ctx, what)
}

func (q *requests) ask(ctx context.Context, what prefork.Request) prefork.Result {
	r, err := q.master.Ask(ctx, what)
	if err != nil {
		return ended
	}
	return r
}

// ended answers a request that a server does not live to see done.
var ended = prefork.Result{Errors: []string{"the server has stopped"}}
