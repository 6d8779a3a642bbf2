package seen

import (
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// FuzzLine: a line that is accepted has a valid state, which is written and read again unchanged.
func FuzzLine(f *testing.F) {
	key := strings.Repeat("ab", 32)
	f.Add([]byte(strings.TrimSuffix(string(formatLine(key, vault.SeenState{Revision: 7, Rewrap: 1, Tag: key})), "\n")))
	f.Add([]byte(strings.TrimSuffix(string(formatLine(key, vault.SeenState{Revision: 1, Tag: key, Deleted: true})), "\n")))
	f.Add([]byte(strings.TrimSuffix(string(formatLine(key, vault.SeenState{Revision: 1, Tag: key, Expires: time.Unix(1, 0)})), "\n")))
	f.Add([]byte("1 " + key + " 7"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, line []byte) {
		key, state, ok := parseLine(line)
		if !ok {
			return
		}
		if !valid(key, state) {
			t.Errorf("%q: %+v", line, state)
		}
		text := strings.TrimSuffix(string(formatLine(key, state)), "\n")
		if k, s, ok := parseLine([]byte(text)); !ok || k != key || !s.Same(state) || !s.Time.Equal(state.Time) || !s.Expires.Equal(state.Expires) {
			t.Errorf("%q is read as %+v, and %q as %+v, %v", line, state, text, s, ok)
		}
	})
}
