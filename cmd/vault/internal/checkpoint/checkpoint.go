// Package checkpoint remembers how far an interrupted run of a command came, in a file without secrets.
package checkpoint

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/objectvault/objectvault/internal/durable"
)

// Load reads the state of the file at path into state. It reports false if there is no file, or if the
// file is not from Save.
func Load(path string, state any) bool {
	text, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(text, state) == nil
}

// Save replaces the file at path. It creates the directory if necessary.
func Save(path string, state any) error {
	if err := durable.MakeDir(filepath.Dir(path)); err != nil {
		return err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return durable.Replace(path, append(text, '\n'))
}

// Remove removes the file at path, if it exists.
func Remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
