package conformance

import (
	"os"
	"testing"

	"github.com/objectvault/objectvault/internal/capabilities"
)

// A record contains the results of a run, for docs/capabilities.md.
type record struct {
	p      Provider
	column capabilities.Column
}

func newRecord(p Provider) *record {
	return &record{p, capabilities.Column{Provider: p.Name, Server: p.Server, Clauses: make(map[string]capabilities.Cell)}}
}

// add records the result of a clause. It ignores a clause with an error, which fails the test.
func (r *record) add(clause string, err error) {
	cell := capabilities.Cell{Found: capabilities.NotClaimed}
	switch reason := r.p.Deviations[clause]; {
	case err != nil:
		return
	case reason != "":
		cell = capabilities.Cell{Found: capabilities.NotSupported, Reason: reason}
	case r.p.claims(clause):
		cell.Found = capabilities.Supported
	}
	r.column.Clauses[clause] = cell
}

// write stores the record in the directory that the environment variable names.
func (r *record) write(t *testing.T) {
	dir := os.Getenv("OBJECTVAULT_CAPABILITIES")
	if dir == "" || r.p.Server == "" || t.Failed() {
		return
	}
	if err := capabilities.Write(dir, r.column); err != nil {
		t.Errorf("write the record of this run: %v", err)
	}
}
