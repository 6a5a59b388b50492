package config

import (
	"strings"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/host/web"
)

// The ranges of [http].
const (
	headerBytesMin = 1 << 10
	headerBytesMax = 256 << 10 // plugins can set so much
	bodyBytesMax   = 1 << 40
	bodyRateMin    = 1
	bodyRateMax    = 1 << 30
	httpTimeoutMin = time.Millisecond
	httpTimeoutMax = 24 * time.Hour
	requestsMax    = 1 << 30
	headerNameMax  = 64
)

func defaultHTTP() host.HTTPSettings {
	return host.HTTPSettings{
		HeaderBytesMax:   web.DefaultHeaderBytesMax,
		BodyBytesMax:     web.DefaultBodyBytesMax,
		FirstByteTimeout: web.DefaultFirstByteTimeout,
		HeaderTimeout:    web.DefaultHeaderTimeout,
		BodyTimeout:      web.DefaultBodyTimeout,
		BodyGrace:        web.DefaultBodyGrace,
		BodyRateMin:      web.DefaultBodyRateMin,
		IdleTimeout:      web.DefaultIdleTimeout,
		WriteTimeout:     web.DefaultWriteTimeout,
	}
}

// http reads the settings of all http listeners. The listeners were read before.
func (d *decoder) http(t *table) {
	defer t.done()
	h := &d.config.Host.HTTP
	t.httpTimeout("first_byte_timeout", &h.FirstByteTimeout)
	t.httpTimeout("header_timeout", &h.HeaderTimeout)
	t.httpTimeout("body_timeout", &h.BodyTimeout)
	t.httpTimeout("body_grace", &h.BodyGrace)
	t.httpTimeout("idle_timeout", &h.IdleTimeout)
	t.httpTimeout("write_timeout", &h.WriteTimeout)
	var n uint64
	if t.size("body_rate_min", &n, bodyRateMin, bodyRateMax) {
		h.BodyRateMin = int64(n)
	}
	if t.size("header_bytes_max", &n, headerBytesMin, headerBytesMax) {
		h.HeaderBytesMax = int(n)
	}
	if t.size("body_bytes_max", &n, 1, bodyBytesMax) {
		h.BodyBytesMax = int64(n)
	}
	if t.integer("requests_per_connection", &h.RequestsPerConnection) && (h.RequestsPerConnection < 0 || h.RequestsPerConnection > requestsMax) {
		t.fault("requests_per_connection", "must be 0, which is no limit, or from 1 to %d, got %d", requestsMax, h.RequestsPerConnection)
	}
	t.requestID(h)
}

// httpTimeout reads one that cannot be turned off: a client could hold a child
// for ever.
func (t *table) httpTimeout(key string, dst *time.Duration) {
	t.duration(key, dst)
	if t.has(key) && !t.refusedKey(key) && (*dst < httpTimeoutMin || *dst > httpTimeoutMax) {
		t.fault(key, `must be from "1ms" to "24h", got %q`, t.values[key])
	}
}

func (t *table) requestID(h *host.HTTPSettings) {
	if t.text("request_id_header", &h.RequestIDHeader) && h.RequestIDHeader != "" && !isIDHeader(h.RequestIDHeader) {
		t.fault("request_id_header", `must be the name of a header field for ids, such as "X-Request-Id": letters, digits and dashes, with "-Id" at the end, got %q`, h.RequestIDHeader)
	}
	t.boolean("trust_request_id", &h.TrustRequestID)
	if h.TrustRequestID && h.RequestIDHeader == "" && !t.refusedKey("request_id_header") {
		t.fault("trust_request_id", `says that clients' ids are taken, but not from where; set request_id_header, such as to "X-Request-Id"`)
	}
}

// isIDHeader reports whether name is one of a header field with an id: no field
// that the server itself goes by is.
func isIDHeader(name string) bool {
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(name) <= headerNameMax && strings.HasSuffix(strings.ToLower(name), "-id")
}
