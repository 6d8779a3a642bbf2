package objectvault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRaced: the packages that make test runs without the race detector start no goroutines
// and share nothing between goroutines, and neither do their tests.
func TestRaced(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ALONE = (.*)$`).FindSubmatch(makefile)
	if m == nil {
		t.Fatal("the Makefile has no list ALONE")
	}
	out, err := exec.Command("go", append([]string{"list", "-f", "{{.Dir}}"}, strings.Fields(string(m[1]))...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs := strings.Fields(string(out))
	if len(dirs) < 5 {
		t.Errorf("the list ALONE has only %q", dirs)
	}
	at := regexp.MustCompile(`(?m)^\s*go (func\b|[\w.]+\()|\.(Go|Parallel|RunParallel|AfterFunc)\(|"sync(/atomic)?"|"golang.org/x/sync|\bhttptest\.|\bhttp\.(ListenAndServe|Serve)\b`)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := at.FindString(string(text)); found != "" && filepath.Base(file) != "raced_test.go" {
				t.Errorf("%s contains %s: remove its package from the list ALONE", file, strings.TrimSpace(found))
			}
		}
	}
}
