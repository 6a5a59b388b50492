package host_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apphost/apphost/host"
)

func TestRoutesAreInTheOrderOfTheirMatch(t *testing.T) {
	got := host.Routes(t.Context(), &host.Config{
		Plugins: []host.Plugin{plugin(t, "probe", probeFile), plugin(t, "hello", helloFile), plugin(t, "taken", helloFile)},
		Routes: []host.Route{
			{Path: "/", Chain: []string{"hello"}},
			{Path: "/hello/x", Chain: []string{"a", "b"}, Respond: &host.Respond{Status: 201}},
			{Path: "/hello/x", Methods: []string{"PUT"}, Redirect: &host.Redirect{Status: 308, Location: "/y"}},
			{Host: "*.b", Path: "/", Chain: []string{"hello"}},
			{Host: "*.a.b", Path: "/", Chain: []string{"hello"}},
			{Host: "c", Path: "/", Chain: []string{"hello"}},
			{Path: "/taken/", Chain: []string{"hello"}},
		},
	})
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprintf("%s%s%v: %s", r.Host, r.Path, r.Methods, r.Handler))
	}
	want := []string{
		"c/[]: hello",
		"*.a.b/[]: hello",
		"*.b/[]: hello",
		"/hello/x[PUT]: redirect 308 to /y",
		"/hello/x[]: a → b → respond 201",
		"/hello/[]: hello",
		"/taken/[]: hello",
		"/[]: hello",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}
