package config

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// A plugin's own values reach it twice: each as text, for those who want one
// value, and all as JSON. Dates and times are text in both, as TOML writes
// them.

// checkJSON notes the values that JSON cannot hold.
func (t *table) checkJSON(path string, v any) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.d.faults = append(t.d.faults,
				t.doc.fault(path, `nan and inf have no JSON form; write the value as a string`))
		}
	case map[string]any:
		for key, inner := range v {
			t.checkJSON(join(path, key), inner)
		}
	case []map[string]any:
		for i, inner := range v {
			t.checkJSON(element(path, i), inner)
		}
	case []any:
		for i, inner := range v {
			t.checkJSON(element(path, i), inner)
		}
	}
}

// render returns values as text by key and as one JSON object. All values
// have passed checkJSON, or have noted a fault: then the result is not used.
func render(values map[string]any) (texts map[string]string, object []byte) {
	texts = make(map[string]string, len(values))
	plain := make(map[string]any, len(values))
	for key, v := range values {
		plain[key] = plainValue(v)
		texts[key] = valueText(plain[key])
	}
	return texts, encode(plain)
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	default:
		return string(encode(v))
	}
}

// plainValue replaces what encoding/json writes unlike TOML.
func plainValue(v any) any {
	switch v := v.(type) {
	case time.Time:
		return formatTime(v)
	case map[string]any:
		plain := make(map[string]any, len(v))
		for key, inner := range v {
			plain[key] = plainValue(inner)
		}
		return plain
	case []map[string]any:
		plain := make([]any, len(v))
		for i, inner := range v {
			plain[i] = plainValue(inner)
		}
		return plain
	case []any:
		plain := make([]any, len(v))
		for i, inner := range v {
			plain[i] = plainValue(inner)
		}
		return plain
	default:
		return v
	}
}

// formatTime writes the parts that were given: the parser marks local times
// by the name of their location.
func formatTime(t time.Time) string {
	switch t.Location().String() {
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	case "date-local":
		return t.Format(time.DateOnly)
	case "time-local":
		return t.Format("15:04:05.999999999")
	default:
		return t.Format(time.RFC3339Nano)
	}
}

// encode is v as JSON on one line, or nil if JSON cannot hold it. Signs that
// matter in HTML only are left as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
