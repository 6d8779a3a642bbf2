package text_test

import (
	"testing"

	"github.com/objectvault/objectvault/internal/text"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 lines", 1: "1 line", 2: "2 lines"} {
		if got := text.Count(n, "line", "lines"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
