package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize reads a whole number and a unit: B, KiB, MiB or GiB.
func parseSize(text string) (uint64, error) {
	digits := strings.TrimLeft(text, "0123456789")
	number, unit := text[:len(text)-len(digits)], strings.TrimSpace(digits)
	if number == "" || strings.HasPrefix(unit, ".") {
		return 0, fmt.Errorf(`must be a whole number and a unit, such as "64MiB", got %q`, text)
	}
	var shift uint
	switch unit {
	case "B":
	case "KiB":
		shift = 10
	case "MiB":
		shift = 20
	case "GiB":
		shift = 30
	case "":
		return 0, fmt.Errorf(`has no unit; write "%sB", "%sKiB", "%sMiB" or "%sGiB"`, number, number, number, number)
	default:
		return 0, fmt.Errorf("unknown unit %q; the units are B, KiB, MiB and GiB", unit)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, fmt.Errorf("is too large: %q", text)
	}
	return n << shift, nil
}

// formatSize writes n in the largest unit that needs no fraction.
func formatSize(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
