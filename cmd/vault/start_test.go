package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestStart: our packages do next to nothing when the process starts. A regular expression that is
// compiled there, for example, costs each command a hundred allocations. The packages that we import do more,
// but a library that splits the word lists of nine languages, as one did, is too much.
func TestStart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	vault := filepath.Join(t.TempDir(), "vault")
	if runtime.GOOS == "windows" {
		vault += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", vault, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	version := exec.Command(vault, "version")
	version.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := version.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all, ours, total, most := 0, 0, 0, ""
	for line := range strings.Lines(string(out)) {
		var name string
		var at, clock float64
		var bytes, allocs int
		if n, _ := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &clock, &bytes, &allocs); n != 5 {
			continue
		}
		total += bytes
		if all++; name == "main" || strings.HasPrefix(name, "github.com/objectvault/") {
			ours += allocs
			most += line
		}
	}
	if all < 20 {
		t.Fatalf("only %d lines of GODEBUG=inittrace=1:\n%s", all, out)
	}
	if ours > 500 {
		t.Errorf("our packages allocate %d times at the start, more than 500:\n%s", ours, most)
	}
	if total > 2<<20 {
		t.Errorf("all packages allocate %d bytes at the start, more than 2 MiB:\n%s", total, out)
	}
}
