// Package echo tests the plugin of this folder, which is written in C.
package echo

import (
	"testing"

	"github.com/apphost/apphost/examples/internal/clangtest"
)

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	clangtest.Rebuild(t, "echo", 1024)
}
