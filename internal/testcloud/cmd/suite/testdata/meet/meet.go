// Package meet is for tests of two packages that are stressed by the tests of the command suite.
package meet

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// With waits until the test of the package other runs, too. own is the name of the package.
func With(t *testing.T, own, other string) {
	dir := os.Getenv("MEET")
	if err := os.WriteFile(filepath.Join(dir, own), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range time.Tick(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, other)); err == nil {
			return
		}
	}
}
