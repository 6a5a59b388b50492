// Package echo tests the plugin of this folder, which is written in C.
package echo

import (
	"testing"

	"github.com/apphost/apphost/examples/internal/buildtest"
)

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	buildtest.Clang(t, "echo", 1024)
}
