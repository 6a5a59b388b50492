package config

import "strings"

// nearest is the known key that the writer most likely meant, or "": the same
// letters (StartServers), or few changed.
func nearest(key string, known []string) string {
	best, bestDistance := "", max(2, len(key)/4)+1
	for _, k := range known {
		distance := editDistance(letters(key), letters(k))
		if distance < bestDistance && distance < len(k) {
			best, bestDistance = k, distance
		}
	}
	return best
}

// letters drops what spellings differ in: case, underscores and dashes.
func letters(key string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key))
}

// editDistance counts the bytes to insert, remove or replace to get from a to
// b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
