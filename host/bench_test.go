package host_test

//go:generate sh -c "for f in testdata/*.wat; do wat2wasm ${DOLLAR}f -o ${DOLLAR}{f%.wat}.wasm; done"

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/internal/hosttest"
	"github.com/apphost/apphost/mpm"
)

// BenchmarkChain is one request on a connection that is kept alive, through 0 to
// 3 plugins that pass it on to one that says hello. They take turns, so that what
// else the machine does costs all the same, and medians are reported. The time of
// an operation is that of all four together.
func BenchmarkChain(b *testing.B) {
	const linksMax = 3
	logger, _ := hosttest.Logger()
	config := host.Config{
		Plugins:   []host.Plugin{plugin(b, "hello", "../plugins/hello.wasm")},
		Listeners: []host.Listener{{Name: "test", Protocol: host.HTTP}},
		CacheDir:  b.TempDir(), Logger: logger,
	}
	var chain []string
	for links := range linksMax + 1 {
		if links > 0 {
			name := fmt.Sprintf("noop%d", links)
			config.Plugins = append(config.Plugins, plugin(b, name, "testdata/noop.wasm"))
			chain = append(chain, name)
		}
		config.Routes = append(config.Routes, host.Route{Path: fmt.Sprintf("/%d", links), Chain: append(slices.Clone(chain), "hello")})
	}
	h, err := host.New(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Close() })
	client, err := net.Dial("tcp", hosttest.Serve(b, func(ctx context.Context, c mpm.Conn) { h.ServeConn(ctx, c) }))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Close() })

	in := bufio.NewReader(client)
	var took [linksMax + 1][]time.Duration
	for b.Loop() {
		for links := range took {
			start := time.Now()
			askHello(b, client, in, links)
			took[links] = append(took[links], time.Since(start))
		}
	}
	var median [linksMax + 1]float64
	for links, all := range took {
		slices.Sort(all)
		median[links] = float64(all[len(all)/2])
		b.ReportMetric(median[links], fmt.Sprintf("ns/%dlinks", links))
	}
	b.ReportMetric((median[linksMax]-median[0])/linksMax, "ns/link")
}

func askHello(b *testing.B, client net.Conn, in *bufio.Reader, links int) {
	if _, err := fmt.Fprintf(client, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", links); err != nil {
		b.Fatal(err)
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != 200 || !strings.HasPrefix(string(body), "Hello") {
		b.Fatalf("%d links: answered %d %q, %v", links, response.StatusCode, body, err)
	}
}
