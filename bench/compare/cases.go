package main

import "github.com/apphost/apphost/bench/internal/result"

// The names of those that targets speak of.
const (
	worker        = "apphost worker"
	workerRequest = "apphost worker, fresh"
	prefork       = "apphost prefork"
	preforkFresh  = "apphost prefork, fresh"
	apachePrefork = "Apache prefork static"
	echoPrefork   = "Apache prefork mod_echo"
	nginxReturn   = "nginx return"
	netHTTPName   = "net/http"
	wazeroHost    = "net/http + wazero, reused"
	wasmtimeKept  = "net/http + wasmtime, reused"
	wasmtimeFresh = "net/http + wasmtime, fresh"
	workerdName   = "workerd (JavaScript)"
	epollName     = "C epoll, one process"
	bareName      = "C prefork, bare"
	fastHTTPName  = "fasthttp"
)

// workerChildren is how many children serve in the worker model: one for each of
// two cores.
const workerChildren = 2

func httpSetup(model string, children int, isolation string) setup {
	return setup{model: model, children: children, threads: 256, protocol: "http", guest: "hello", isolation: isolation}
}

func echoSetup(model string, children int, guest, isolation string) setup {
	return setup{model: model, children: children, threads: 256, protocol: "tcp", guest: guest, isolation: isolation}
}

// allCases are the rows of the targets. Their numbers are requirements, and
// change only with those.
func allCases() []spec {
	var all []spec
	all = append(all, workerHello())
	all = append(all, preforkHello()...)
	all = append(all, echoes()...)
	return append(all, costs()...)
}

func workerHello() spec {
	return spec{
		name: "http-worker", mode: "http", connections: 64, unit: "requests/s",
		title: "Hello over HTTP on 64 connections that are kept, worker model",
		contenders: []contender{
			ours(worker, httpSetup("worker", workerChildren, "child")),
			ours(workerRequest, httpSetup("worker", workerChildren, "request")),
			nginx(),
			goHost(fastHTTPName, "fasthttp"), netHTTP(), goHost(wazeroHost, "wazero"),
			wasmtime(wasmtimeKept), wasmtime(wasmtimeFresh, "-fresh"), workerd(),
			apache("Apache event static", "event", "static", 0),
			apache("Apache event mod_lua", "event", "lua", 64),
		},
		targets: []result.Target{
			{Of: worker, Against: nginxReturn, Bound: 0.9, Limit: fastHTTPName},
			{Of: worker, Against: wazeroHost, Bound: 2.2, Limit: fastHTTPName},
			{Of: worker, Against: wasmtimeKept, Bound: 1.6},
			{Of: worker, Against: workerdName, Bound: 4},
			{Of: workerRequest, Against: wasmtimeKept, Bound: 1.2},
			{Of: workerRequest, Against: wasmtimeFresh, Bound: 5},
		},
	}
}

func preforkHello() []spec {
	keepAlive := func(name, title string, connections, children int, targets ...result.Target) spec {
		return spec{
			name: name, mode: "http", connections: connections, unit: "requests/s", title: title, targets: targets,
			contenders: []contender{
				ours(prefork, httpSetup("prefork", children, "child")),
				ours(preforkFresh, httpSetup("prefork", children, "request")),
				apache(apachePrefork, "prefork", "static", children),
				apache("Apache prefork mod_lua", "prefork", "lua", children),
				bare("http", children), netHTTP(), nginx(),
			},
		}
	}
	against := func(bound, ofNetHTTP float64) []result.Target {
		return []result.Target{
			{Of: prefork, Against: apachePrefork, Bound: bound, Limit: bareName},
			{Of: prefork, Against: netHTTPName, Bound: ofNetHTTP, Limit: bareName},
		}
	}
	many := keepAlive("http-prefork-256", "Hello over HTTP on 256 connections that are kept, prefork model with 300 children", 256, 300,
		against(2, 0)[:1]...)
	many.contenders = []contender{many.contenders[0], many.contenders[2], bare("http", 300)}
	return []spec{
		keepAlive("http-prefork-16", "Hello over HTTP on 16 connections that are kept, prefork model with 16 children", 16, 16, against(2.2, 1)...),
		keepAlive("http-prefork-64", "Hello over HTTP on 64 connections that are kept, prefork model with 64 children", 64, 64, against(2.2, 1)...),
		many,
		{
			name: "http-close", mode: "http-close", connections: 64, unit: "requests/s",
			title: "Hello over HTTP with a connection for each request, 64 at once, prefork model with 64 children",
			contenders: []contender{
				ours(preforkFresh, httpSetup("prefork", 64, "request")),
				apache(apachePrefork, "prefork", "static", 64), bare("http", 64), nginx(),
			},
			targets: []result.Target{
				{Of: preforkFresh, Against: apachePrefork, Bound: 1.3, Limit: bareName},
				{Of: preforkFresh, Against: nginxReturn, Bound: 0.9, Limit: bareName},
			},
		},
	}
}

func echoes() []spec {
	var all []spec
	for _, at := range []struct {
		suffix      string
		connections int
	}{{"16", 16}, {"64", 64}} {
		all = append(all, spec{
			name: "echo-" + at.suffix, mode: "echo", connections: at.connections, unit: "round trips/s",
			title: "64 bytes there and back by TCP on " + at.suffix + " connections that are kept",
			contenders: []contender{
				ours(prefork, echoSetup("prefork", at.connections, "echo", "")),
				ours(worker, echoSetup("worker", workerChildren, "echo", "")),
				apache(echoPrefork, "prefork", "echo", at.connections), bare("echo", at.connections), epollEcho(),
			},
			targets: []result.Target{
				{Of: prefork, Against: echoPrefork, Bound: 1, Limit: bareName},
				{Of: worker, Against: echoPrefork, Bound: 1.6, Limit: epollName},
				{Of: worker, Against: epollName, Bound: 0.75},
			},
		}, spec{
			name: "echo-close-" + at.suffix, mode: "echo-close", connections: at.connections, unit: "connections/s",
			title: "Connect, 64 bytes there and back by TCP, close, " + at.suffix + " at once, prefork model",
			contenders: []contender{
				ours(prefork, echoSetup("prefork", at.connections, "echo", "")),
				apache(echoPrefork, "prefork", "echo", at.connections), bare("echo", at.connections), epollEcho(),
			},
			targets: []result.Target{
				{Of: prefork, Against: echoPrefork, Bound: 1, Limit: bareName},
				{Of: prefork, Against: epollName, Bound: 0.8, Limit: bareName},
			},
		})
	}
	const fresh, kept = "apphost, fresh for each", "apphost, no isolation"
	return append(all, spec{
		name: "echo-close-go", mode: "echo-close", connections: 16, unit: "connections/s",
		title: "Connect, 64 bytes there and back by TCP, close, 16 at once, prefork model, a guest in Go of 3 MB",
		contenders: []contender{
			ours(fresh, echoSetup("prefork", 16, "goecho", "connection")),
			ours(kept, echoSetup("prefork", 16, "goecho", "child")),
		},
		targets: []result.Target{{Of: fresh, Against: kept, Bound: 0.95}},
	})
}

// costs are what the server costs by itself.
func costs() []spec {
	const small, large = "C, 1 KB", "Go, 3 MB"
	const limited, unlimited = `cpu_timeout = "10s"`, `cpu_timeout = "0s"`
	spin := func(timeout string) setup {
		return setup{model: "prefork", children: 1, protocol: "http", guest: "spin", cpuTimeout: timeout}
	}
	return []spec{
		{
			name: "reset", title: "An instance for a run, in one process: put back to its image, or made anew; medians", unit: "µs", less: true,
			other: measureReset,
			targets: []result.Target{
				{Of: resetC, Bound: 2.5},
				{Of: resetGo, Bound: 5},
			},
		},
		{
			name: "spawn", title: "From a child's spawn until it is ready, with a warm cache of compiled code", unit: "ms", less: true,
			other: func(b *bed) ([]result.Series, error) {
				return measureChildren(b, 1, map[string]setup{small: idleSetup("hello", 1), large: idleSetup("goecho", 1)}, spawnTime)
			},
			targets: []result.Target{{Of: small, Bound: 6}, {Of: large, Bound: 30}},
		},
		{
			name: "memory", title: "Memory of an idle child, PSS, with 64 children", unit: "MiB", less: true,
			other: func(b *bed) ([]result.Series, error) {
				return measureChildren(b, 64, map[string]setup{small: idleSetup("hello", 64), large: idleSetup("goecho", 64)}, childMemory)
			},
			targets: []result.Target{{Of: small, Bound: 3}, {Of: large, Bound: 20}},
		},
		{
			name: "cpu-timeout", mode: "http", connections: 1, unit: "µs of processor time each", less: true,
			title: "A guest that computes for some 10 ms without calling the host: what watching it costs",
			contenders: []contender{
				ours(limited, spin("10s")),
				ours(unlimited, spin("0s")),
			},
			targets: []result.Target{{Of: limited, Against: unlimited, Bound: 1.01}},
		},
		{
			name: "idle", title: "Memory of a connection that is kept and waits, with 10,000 of them, worker model, PSS of all processes", unit: "KB", less: true,
			other:   measureIdle,
			targets: []result.Target{{Of: idleName, Bound: 12}},
		},
	}
}
