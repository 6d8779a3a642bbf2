package main

import (
	"os"
	"path/filepath"
	"testing"
)

// If another put records missing keys while an older record is processed, the new record stays.
func TestForgetOwed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := owedKey{path: path, text: []byte("old")}
	write("new")
	k.forget()
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	write("old")
	k.forget()
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}
