package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Median is the middle one of values, which it sorts; 0 if there are none.
func Median[T int | time.Duration | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Range is the median of values and the least and the most of them, which it
// sorts, each in a form such as "%.1f".
func Range(form string, values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	median := Median(values)
	return fmt.Sprintf(strings.ReplaceAll("F (F to F)", "F", form), median, values[0], values[len(values)-1])
}

// Each is what of says of each of all.
func Each[T any](all []T, of func(T) float64) []float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = of(one)
	}
	return values
}

// Milliseconds is d as a number.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Mebibytes is a number of KiB in MiB.
func Mebibytes(kib int) float64 { return float64(kib) / 1024 }
