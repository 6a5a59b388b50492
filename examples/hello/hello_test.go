// Package hello tests the plugin of this folder, which is written in C.
package hello

import (
	"testing"

	"github.com/apphost/apphost/examples/internal/clangtest"
)

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	clangtest.Rebuild(t, "hello", 2048)
}
