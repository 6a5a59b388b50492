package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm/image"
)

// The sections of a generation image that candidate and children share,
// besides the one that is the master's.
const (
	sectionLog  = "log"   // config.Log as JSON
	sectionHost = "host"  // host.Config without the modules, as JSON
	wasmPrefix  = "wasm/" // and a plugin's name: its module
)

// manifest is host.Config as it travels: the modules are sections of their
// own, so that children run them from the shared mapping.
type manifest struct {
	Plugins   []host.Plugin
	Listeners []host.Listener
	Routes    []host.Route
	CacheDir  string
	HTTP      host.HTTPSettings
}

// encodeGeneration lays out what the children need, and notes the digests of the
// plugins in c.
func encodeGeneration(c *config.Config) ([]image.Section, error) {
	m := manifest{Listeners: c.Host.Listeners, Routes: c.Host.Routes, CacheDir: c.Host.CacheDir, HTTP: c.Host.HTTP}
	var modules []image.Section
	for i := range c.Host.Plugins {
		digest := sha256.Sum256(c.Host.Plugins[i].Wasm)
		c.Host.Plugins[i].Digest = digest[:]
		p := c.Host.Plugins[i]
		modules = append(modules, image.Section{Name: wasmPrefix + p.Name, Data: p.Wasm})
		p.Wasm = nil
		m.Plugins = append(m.Plugins, p)
	}
	hostJSON, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode plugins: %w", err)
	}
	logJSON, err := json.Marshal(c.Log)
	if err != nil {
		return nil, fmt.Errorf("encode log settings: %w", err)
	}
	status, err := encodeStatus(c.Status)
	if err != nil {
		return nil, err
	}
	return append([]image.Section{{Name: sectionLog, Data: logJSON}, {Name: sectionHost, Data: hostJSON}, status}, modules...), nil
}

// decodeGeneration is encodeGeneration backwards. The modules stay in the
// image, which must outlive the host.
func decodeGeneration(img *image.Image) (host.Config, config.Log, error) {
	log, err := decodeLog(img)
	if err != nil {
		return host.Config{}, log, err
	}
	raw, ok := img.Section(sectionHost)
	if !ok {
		return host.Config{}, log, errors.New("decode generation: it has no plugins section")
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return host.Config{}, log, fmt.Errorf("decode plugins: %w", err)
	}
	for i := range m.Plugins {
		if m.Plugins[i].Wasm, ok = img.Section(wasmPrefix + m.Plugins[i].Name); !ok {
			return host.Config{}, log, fmt.Errorf("decode generation: it has no module for plugin %q", m.Plugins[i].Name)
		}
	}
	return host.Config{Plugins: m.Plugins, Listeners: m.Listeners, Routes: m.Routes, CacheDir: m.CacheDir, HTTP: m.HTTP}, log, nil
}

func decodeLog(img *image.Image) (config.Log, error) {
	log := config.Default().Log
	raw, ok := img.Section(sectionLog)
	if !ok {
		return log, errors.New("decode generation: it has no log section")
	}
	if err := json.Unmarshal(raw, &log); err != nil {
		return log, fmt.Errorf("decode log settings: %w", err)
	}
	return log, nil
}

// note is what a candidate has to tell people about a part of the generation;
// it travels through the master as text.
type note struct {
	Plugin *pluginNote   `json:"plugin,omitempty"`
	Listen *listenerNote `json:"listen,omitempty"`
}

type pluginNote struct {
	Name  string `json:"name"`
	ABI   string `json:"abi"`
	Bytes int    `json:"bytes"`
	// Grants is what it may use, in words.
	Grants string `json:"grants,omitempty"`
	// Instances is how one of a run becomes one for the next, in words.
	Instances string `json:"instances,omitempty"`
}

type listenerNote struct {
	Name     string        `json:"name"`
	Protocol host.Protocol `json:"protocol"`
	Plugin   string        `json:"plugin,omitempty"`
}

func (n note) encode() string {
	raw, err := json.Marshal(n)
	if err != nil {
		panic("BUG: a note cannot be encoded: " + err.Error())
	}
	return string(raw)
}

// notesOf is what there is to tell about a generation.
func notesOf(h *host.Host, listeners []host.Listener) []string {
	var lines []string
	for _, p := range h.Plugins() {
		lines = append(lines, note{Plugin: &pluginNote{p.Name, p.ABI, p.Bytes, p.Grants, p.Instances}}.encode())
	}
	for _, l := range listeners {
		lines = append(lines, note{Listen: &listenerNote{l.Name, l.Protocol, l.Plugin}}.encode())
	}
	return lines
}

// decodeNotes drops what it does not understand: notes are for reading only.
func decodeNotes(lines []string) (plugins []pluginNote, listeners map[string]listenerNote) {
	listeners = make(map[string]listenerNote)
	for _, l := range lines {
		var n note
		if json.Unmarshal([]byte(l), &n) != nil {
			continue
		}
		if n.Plugin != nil {
			plugins = append(plugins, *n.Plugin)
		}
		if n.Listen != nil {
			listeners[n.Listen.Name] = *n.Listen
		}
	}
	return plugins, listeners
}
