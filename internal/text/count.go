package text

import "fmt"

// Count returns a number and its noun: one if n is 1, and many otherwise.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
