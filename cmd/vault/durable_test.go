package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestUnsyncedKey: where directories are not synced init makes a key and says once what that
// is worth. It says nothing about a key that was there.
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
			t.Errorf("%q: exit code %d, said %d times, want %d: %s", tc.args, code, got, tc.want, &errs)
		}
	}
}
