package argv

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns at most n of known that differ from word by a typing error, the most
// similar first.
func Nearest(word string, known []string, n int) []string {
	type candidate struct {
		text     string
		distance int
	}
	var near []candidate
	limit := max(1, min(3, len(word)/3))
	for _, k := range known {
		if diff := len(k) - len(word); diff > limit || -diff > limit || len(k) < 2 {
			continue
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(k)); d <= limit {
			near = append(near, candidate{k, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var texts []string
	for _, c := range near[:min(n, len(near))] {
		texts = append(texts, c.text)
	}
	return texts
}

// editDistance returns the number of letters to insert, remove, replace or swap with their
// neighbour, to turn a into b.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	beforeLast, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], beforeLast[j-1]+1)
			}
		}
		beforeLast, last, row = last, row, beforeLast
	}
	return last[len(t)]
}
