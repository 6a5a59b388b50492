package main

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm/image"
)

// A child is told the digests of its plugins, by which it finds their code.
func TestAGenerationHasTheDigestsOfItsPlugins(t *testing.T) {
	c := config.Default()
	c.Host.Plugins = []host.Plugin{{Name: "a", Wasm: []byte("one")}, {Name: "b", Wasm: []byte("another")}}
	sections, err := encodeGeneration(c)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := image.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Fill(fd, sections); err != nil {
		t.Fatal(err)
	}
	img, err := image.Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = img.Close() }()
	told, _, err := decodeGeneration(img)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one", "another"} {
		digest := sha256.Sum256([]byte(want))
		for whose, p := range map[string]host.Plugin{"the child": told.Plugins[i], "the candidate": c.Host.Plugins[i]} {
			if string(p.Wasm) != want || !bytes.Equal(p.Digest, digest[:]) {
				t.Errorf("plugin %q of %s: %q with digest %x, want %q with %x", p.Name, whose, p.Wasm, p.Digest, want, digest)
			}
		}
	}
}
