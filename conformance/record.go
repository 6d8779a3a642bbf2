package conformance

import (
	"os"
	"testing"

	"github.com/objectvault/objectvault/internal/capabilities"
)

// A record is what a run found, for a table of all of them.
type record struct {
	p      Provider
	column capabilities.Column
}

func newRecord(p Provider) *record {
	return &record{p, capabilities.Column{Provider: p.Name, Server: p.Server, Clauses: make(map[string]capabilities.Cell)}}
}

// add takes the verdict on a clause that was as it should be; any other fails the test,
// and has no place in the table.
func (r *record) add(clause string, err error) {
	cell := capabilities.Cell{Found: capabilities.NotClaimed}
	switch reason := r.p.Deviations[clause]; {
	case err != nil:
		return
	case reason != "":
		cell = capabilities.Cell{Found: capabilities.NotHonoured, Reason: reason}
	case r.p.claims(clause):
		cell.Found = capabilities.Honoured
	}
	r.column.Clauses[clause] = cell
}

// write puts the record into the directory that the environment names.
func (r *record) write(t *testing.T) {
	dir := os.Getenv("OBJECTVAULT_CAPABILITIES")
	if dir == "" || r.p.Server == "" || t.Failed() {
		return
	}
	if err := capabilities.Write(dir, r.column); err != nil {
		t.Errorf("the record of this run: %v", err)
	}
}
