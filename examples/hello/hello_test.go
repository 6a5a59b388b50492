// Package hello tests the plugin of this folder, which is written in C.
package hello

import (
	"testing"

	"github.com/apphost/apphost/examples/internal/buildtest"
)

func TestCommittedPluginIsWhatTheSourceBuilds(t *testing.T) {
	buildtest.Clang(t, "hello", 2048)
}
