//go:build !wasip1

package main

import (
	"testing"

	"github.com/apphost/apphost/examples/internal/buildtest"
	"github.com/apphost/apphost/sdk/abi"
)

func TestPluginBuilds(t *testing.T) {
	buildtest.Go(t, "forms", abi.HTTPModule, 4300<<10)
}
