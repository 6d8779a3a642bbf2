package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestUnsyncedKey: on a system that cannot sync directories, init creates a key and warns once about
// its durability. It does not warn about an existing key.
func TestUnsyncedKey(t *testing.T) {
	home := t.TempDir()
	for _, tc := range []struct {
		args []string
		want int
	}{{[]string{"vault", "init", "--vault-id", "work"}, 1}, {[]string{"vault", "init"}, 0}} {
		var errs bytes.Buffer
		code := run(t.Context(), tc.args, &world{
			in: strings.NewReader(""), out: new(bytes.Buffer), err: &errs, goos: "linux", now: time.Now,
			getenv:   func(k string) string { return map[string]string{"HOME": home}[k] },
			readFile: os.ReadFile, writeNew: writeNew, canSync: func(string) bool { return false },
			quietly: func(error) bool { return false },
		})
		if got := strings.Count(errs.String(), "cannot sync directories: depending on its mount options, a write may be lost after a power failure\n"); code != 0 || got != tc.want {
			t.Errorf("%q: exit code %d, %d warnings, want %d: %s", tc.args, code, got, tc.want, &errs)
		}
	}
}
