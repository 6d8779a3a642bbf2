// Package capabilities makes docs/capabilities.md: what each provider honours on each
// server, as the runs of the conformance suite saw it.
//
// A run with OBJECTVAULT_CAPABILITIES in its environment, which names a directory, writes
// a [Column] there; [Read] wants every column that there should be, and [Render] writes
// the page.
package capabilities

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
)

// What a run may find of a clause.
const (
	Honoured    = "honoured"
	NotHonoured = "not honoured" // a known deviation
	NotClaimed  = "not claimed"
)

// A Column is a provider on a server.
type Column struct {
	Provider string          `json:"provider"`
	Server   string          `json:"server"` // with its version and how it is set up
	Clauses  map[string]Cell `json:"clauses"`
}

// A Cell is what was found of a clause.
type Cell struct {
	Found  string `json:"found"`
	Reason string `json:"reason,omitempty"` // of a deviation
}

// ErrIncomplete means that a run is missing, or did not get to its end.
var ErrIncomplete = errors.New("the runs are not complete")

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

func (c Column) file() string {
	return strings.Trim(unfit.ReplaceAllString(strings.ToLower(c.Provider+" "+c.Server), "-"), "-") + ".json"
}

// Write puts a column into a directory, which it makes. A column that is there is replaced.
func Write(dir string, c Column) error {
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, c.file()), append(text, '\n'), 0o666)
}

// Read reads the columns of [All] from a directory. One that is missing, or has not every
// clause, is [ErrIncomplete]; so is a stranger.
func Read(dir string) ([]Column, error) {
	var columns []Column
	known := make(map[string]bool)
	for _, want := range All {
		name := want.file()
		known[name] = true
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: there is none of %s on %s", ErrIncomplete, want.Provider, want.Server)
		}
		if err != nil {
			return nil, err
		}
		var c Column
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range probe.All() {
			if !slices.Contains([]string{Honoured, NotHonoured, NotClaimed}, c.Clauses[p.Clause].Found) {
				return nil, fmt.Errorf("%w: %s on %s has no verdict about %s", ErrIncomplete, c.Provider, c.Server, p.Clause)
			}
		}
		columns = append(columns, c)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !known[f.Name()] {
			return nil, fmt.Errorf("%w: no column expects %s: see All", ErrIncomplete, f.Name())
		}
	}
	return columns, nil
}
