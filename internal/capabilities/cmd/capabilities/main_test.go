package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/capabilities"
)

// fullDir returns a directory with every run. Each run supports everything except swap, and does
// not claim purge.
func fullDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range capabilities.All {
		c.Clauses = make(map[string]capabilities.Cell)
		for _, p := range probe.All() {
			c.Clauses[p.Clause] = capabilities.Cell{Found: capabilities.Supported}
		}
		c.Clauses["swap"] = capabilities.Cell{Found: capabilities.NotSupported, Reason: "not implemented"}
		c.Clauses["purge"] = capabilities.Cell{Found: capabilities.NotClaimed}
		if err := capabilities.Write(dir, c); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRun(t *testing.T) {
	dir, file := fullDir(t), filepath.Join(t.TempDir(), "page.md")
	if code := run([]string{dir, file}, os.Stderr); code != 0 {
		t.Fatalf("exit %d", code)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n| | costest | costest, versioning |", "\n| `create` | yes | yes | yes |", "\n| `swap` | **no** (1) |", "\n| `purge` | – |", "\n1. not implemented\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if code := run([]string{"-check", dir, file}, os.Stderr); code != 0 {
		t.Errorf("check of a new page: exit %d", code)
	}

	for name, tc := range map[string]struct {
		spoil func()
		want  string
	}{
		"changed page":   {func() { os.WriteFile(file, append(page, '\n'), 0o600) }, "run make capabilities"},
		"unknown column": {func() { capabilities.Write(dir, capabilities.Column{Provider: "gcs", Server: "x"}) }, "gcs-x.json is not the file of any column"},
		"missing result": {func() { capabilities.Write(dir, capabilities.Column{Provider: "memfs", Server: "memory"}) },
			"the run of provider memfs on memory has no result for read-after-write"},
		"missing run": {func() { os.Remove(filepath.Join(dir, "tencent-costest.json")) }, "no run of provider tencent on costest"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file = fullDir(t), filepath.Join(t.TempDir(), "page.md")
			if code := run([]string{dir, file}, os.Stderr); code != 0 {
				t.Fatalf("exit %d", code)
			}
			tc.spoil()
			var stderr strings.Builder
			if code := run([]string{"-check", dir, file}, &stderr); code != 1 || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("check: exit %d, %s; want 1 and %q", code, stderr.String(), tc.want)
			}
		})
	}
	if code := run([]string{"-check", dir}, new(strings.Builder)); code != 2 {
		t.Errorf("one argument: exit %d, want 2", code)
	}
}
