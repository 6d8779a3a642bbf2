package memfs

import (
	"slices"
	"testing"
)

// TestPruneOldestFirst: a process that is killed while it removes old versions leaves the
// newest ones, without a gap.
func TestPruneOldestFirst(t *testing.T) {
	p := &past{dir: "versions/x"}
	var removed []string
	for _, s := range p.prune([]state{{id: 2}, {id: 4}, {id: 1}, {id: 3}}, 1, true) {
		if s.do == doClean && !slices.Contains([]string{attrsSuffix}, s.name[len(s.name)-len(attrsSuffix):]) {
			removed = append(removed, s.name)
		}
	}
	want := []string{p.version(1), p.version(2), p.version(3)}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
}
