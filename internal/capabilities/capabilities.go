// Package capabilities generates docs/capabilities.md from the results of the conformance suite.
// The page shows which clauses each provider supports on each server.
//
// The environment variable OBJECTVAULT_CAPABILITIES names a directory. If it is set, every run
// of the suite writes a [Column] to this directory. [Read] reads the columns, and fails if one is
// missing. [Render] writes the page.
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

// The results of a clause.
const (
	Supported    = "supported"
	NotSupported = "not supported" // a known deviation
	NotClaimed   = "not claimed"
)

// A Column contains the results of one provider with one server.
type Column struct {
	Provider string          `json:"provider"`
	Server   string          `json:"server"` // with its version and configuration
	Clauses  map[string]Cell `json:"clauses"`
}

// A Cell is the result of one clause.
type Cell struct {
	Found  string `json:"found"`
	Reason string `json:"reason,omitempty"` // the reason for a deviation
}

// ErrIncomplete means that a run is missing or incomplete.
var ErrIncomplete = errors.New("incomplete runs")

var nonAlphanumeric = regexp.MustCompile(`[^a-z0-9]+`)

func (c Column) file() string {
	return strings.Trim(nonAlphanumeric.ReplaceAllString(strings.ToLower(c.Provider+" "+c.Server), "-"), "-") + ".json"
}

// Write stores a column in a directory, which it creates if necessary. It replaces an existing
// file of the same column.
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

// Read reads the columns of [All] from a directory. It returns [ErrIncomplete] if a column or one
// of its clauses is missing, or if the directory contains a file that is not in All.
func Read(dir string) ([]Column, error) {
	var columns []Column
	known := make(map[string]bool)
	for _, want := range All {
		name := want.file()
		known[name] = true
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: no run of provider %s on %s", ErrIncomplete, want.Provider, want.Server)
		}
		if err != nil {
			return nil, err
		}
		var c Column
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range probe.All() {
			if !slices.Contains([]string{Supported, NotSupported, NotClaimed}, c.Clauses[p.Clause].Found) {
				return nil, fmt.Errorf("%w: the run of provider %s on %s has no result for %s", ErrIncomplete, c.Provider, c.Server, p.Clause)
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
			return nil, fmt.Errorf("%w: %s is not the file of any column in capabilities.All", ErrIncomplete, f.Name())
		}
	}
	return columns, nil
}
