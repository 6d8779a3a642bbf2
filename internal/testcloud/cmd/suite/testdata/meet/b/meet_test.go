// Package b is stressed by the tests of the command suite.
package b

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// It passes if the test of package a runs at the same time.
func TestMeet(t *testing.T) {
	dir := os.Getenv("MEET")
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range time.Tick(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
			return
		}
	}
}
