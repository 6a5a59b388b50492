package statuspage

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// httpdTime is how httpd writes times on its status page.
const httpdTime = "Monday, 02-Jan-2006 15:04:05 MST"

// auto is the report for programs: the keys of httpd's "server-status?auto",
// spelt and ordered as there, because exporters look for them. Accesses are
// requests. With its prefork model httpd has all of these and no others.
func (r *Report) auto() []byte {
	var b bytes.Buffer
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%s: %s\n", key, fmt.Sprintf(format, args...))
	}
	total := r.Totals
	requests, kBytes := float64(total.Requests), total.BytesSent/1024
	milliseconds := total.DurationSeconds * 1000

	line("ServerVersion", "%s", product(r.Version))
	line("ServerMPM", "%s", r.Model)
	if at := built(); at != "" {
		line("Server Built", "%s", at)
	}
	line("CurrentTime", "%s", r.now().Format(httpdTime))
	line("RestartTime", "%s", r.Started.Format(httpdTime))
	line("ParentServerConfigGeneration", "%d", r.generation())
	line("ParentServerMPMGeneration", "%d", max(1, r.generation())-1) // httpd's first is 0
	line("ServerUptimeSeconds", "%d", int64(r.UptimeSeconds))
	line("ServerUptime", "%s", days(r.UptimeSeconds))
	for i, minutes := range []string{"1", "5", "15"} {
		line("Load"+minutes, "%.2f", r.Load[i])
	}
	line("Total Accesses", "%d", total.Requests)
	line("Total kBytes", "%d", kBytes)
	line("Total Duration", "%d", int64(milliseconds))
	line("CPUUser", "%.2f", r.CPU.UserSeconds)
	line("CPUSystem", "%.2f", r.CPU.SystemSeconds)
	line("CPUChildrenUser", "%.2f", r.CPU.EndedUserSeconds)
	line("CPUChildrenSystem", "%.2f", r.CPU.EndedSystemSeconds)
	line("CPULoad", "%s", number(100*r.cpuSeconds()/r.uptime()))
	line("Uptime", "%d", int64(r.UptimeSeconds))
	line("ReqPerSec", "%s", number(requests/r.uptime()))
	line("BytesPerSec", "%s", number(float64(total.BytesSent)/r.uptime()))
	line("BytesPerReq", "%s", number(ratio(float64(total.BytesSent), requests)))
	line("DurationPerReq", "%s", number(ratio(milliseconds, requests)))
	line("BusyWorkers", "%d", r.Busy)
	line("GracefulWorkers", "%d", r.Graceful)
	line("IdleWorkers", "%d", r.Idle)
	line("Scoreboard", "%s", r.Scoreboard)
	return b.Bytes()
}

// number has six digits that count, as httpd prints ratios, and no exponent.
func number(f float64) string {
	short, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// ago is how long ago something was, in seconds or more.
func ago(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
