package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/apphost/apphost/cmd/apphost/internal/config"
	"github.com/apphost/apphost/cmd/apphost/internal/statuspage"
	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm/image"
	"github.com/apphost/apphost/mpm/prefork"
)

// sectionStatus of a generation image is config.Status as JSON.
const sectionStatus = "status"

// report makes a report of what a master says of itself.
func (q *requests) report(s prefork.Snapshot) statuspage.Report {
	r := statuspage.Report{Version: version, Config: q.configPath, Snapshot: s, Modules: []statuspage.Module{}}
	plugins, _ := decodeNotes(s.Notes)
	for _, p := range plugins {
		r.Modules = append(r.Modules, statuspage.Module{Name: p.Name, ABI: p.ABI, Bytes: p.Bytes, Instances: p.Instances})
	}
	return r
}

// publish is a report for the children that show it.
func (q *requests) publish(s prefork.Snapshot) []byte {
	raw, err := json.Marshal(q.report(s))
	if err != nil {
		panic("BUG: a report cannot be encoded: " + err.Error())
	}
	return raw
}

func encodeStatus(s config.Status) (image.Section, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return image.Section{}, fmt.Errorf("encode status settings: %w", err)
	}
	return image.Section{Name: sectionStatus, Data: raw}, nil
}

func decodeStatus(img *image.Image) (s config.Status, err error) {
	raw, ok := img.Section(sectionStatus)
	if !ok {
		return s, fmt.Errorf("decode generation: it has no %s section", sectionStatus)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("decode status settings: %w", err)
	}
	return s, nil
}

// statusMount is the place of the status page.
func statusMount(s config.Status) host.Mount {
	return host.Mount{Path: s.Path, Name: "status page"}
}

// mountStatus puts the status page where the settings want it, if they do.
// source returns a report as publish has made it.
func mountStatus(h *host.Config, s config.Status, source func(context.Context) ([]byte, error), log *slog.Logger) {
	if s.Path == "" {
		return
	}
	page := statuspage.New(statuspage.Settings{Source: source, Allow: s.Allow, AllowUnix: s.AllowUnix, Logger: log})
	mount := statusMount(s)
	mount.Handler = page
	h.Mounts = append(h.Mounts, mount)
}
