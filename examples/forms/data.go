package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/apphost/apphost/sdk/web"
)

const (
	// numbersBytesMax bounds the JSON that sum reads.
	numbersBytesMax = 64 << 10
	linesMax        = 50
	// linePause is the time between two lines of a stream.
	linePause = 100 * time.Millisecond
)

// sum adds up: {"numbers": [1, 2.5]} gives {"sum": 3.5, "count": 2}.
func sum(w *web.Response, r *web.Request) {
	var in struct {
		Numbers []float64 `json:"numbers"`
	}
	body := &io.LimitedReader{R: r, N: numbersBytesMax}
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	switch err := decoder.Decode(&in); {
	case err != nil && body.N == 0:
		answerJSON(w, 413, map[string]any{"error": fmt.Sprintf("more than %d bytes", numbersBytesMax)})
		return
	case err != nil:
		answerJSON(w, 400, map[string]any{"error": err.Error()})
		return
	}
	total := 0.0
	for _, n := range in.Numbers {
		total += n
	}
	answerJSON(w, 200, map[string]any{"sum": total, "count": len(in.Numbers)})
}

func answerJSON(w *web.Response, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // the numbers' sum may be infinite, which JSON has no word for
		status, text = 422, []byte(`{"error":"the result is too large"}`)
	}
	w.Status(status)
	w.SetHeader("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

// stream sends lines, each as soon as it is made.
func stream(w *web.Response, r *web.Request) {
	lines := 5
	if value := r.Query().Get("lines"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > linesMax {
			w.Error(400, fmt.Sprintf("lines: want a number from 1 to %d", linesMax))
			return
		}
		lines = n
	}
	// Browsers show plain text only once they have some of it; this one says
	// that no guessing of the type is needed.
	w.SetHeader("X-Content-Type-Options", "nosniff")
	for n := range lines {
		if n > 0 {
			time.Sleep(linePause)
		}
		fmt.Fprintf(w, "line %d of %d\n", n+1, lines)
		w.Flush()
	}
}
