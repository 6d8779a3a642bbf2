//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A directory that is writable but not readable cannot be synced. The file exists, and the error is
// ErrUnsynced.
func TestUnsynced(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads every directory")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "file")
	if err := Replace(name, []byte("x")); !errors.Is(err, ErrUnsynced) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v, want ErrUnsynced and ErrPermission", err)
	}
	if b, err := os.ReadFile(name); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}
