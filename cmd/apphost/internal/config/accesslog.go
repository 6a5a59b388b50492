package config

import (
	"github.com/apphost/apphost/host/accesslog"
	"github.com/apphost/apphost/mpm"
)

// AccessLogName is what the access log is called among mpm.Options.Logs.
const AccessLogName = "access"

// accessLog reads where the access log goes, and what its lines look like.
func (d *decoder) accessLog(t *table) {
	var to string
	if t.text("access", &to) && to != "" {
		if to != mpm.StandardOutput && to != mpm.StandardError {
			to = d.resolve(to)
		}
		d.config.MPM.Logs = []mpm.Log{{Name: AccessLogName, Path: to}}
	}
	if t.text("access_format", &d.config.Log.AccessFormat) {
		if err := accesslog.CheckFormat(d.config.Log.AccessFormat); err != nil {
			t.fault("access_format", "cannot be used: %s", err)
		}
	}
}
