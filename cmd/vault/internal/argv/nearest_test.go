package argv

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"openai", "openai-2", "anthropic", "github", "ab", "key"}
	for word, want := range map[string]string{
		"opneai": "openai", "openai2": "openai openai-2", "OPENAI": "openai openai-2", "anthropc": "anthropic", "hub": "", "kye": "key", "keys": "key",
		"completely-else": "", "a": "ab", "": "",
	} {
		if got := strings.Join(Nearest(word, known, 3), " "); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"ключ", "клюц", 1}} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
