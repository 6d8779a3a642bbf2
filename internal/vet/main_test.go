package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnalyzers: all analyzers of go vet are present.
func TestAnalyzers(t *testing.T) {
	help, err := exec.Command("go", "tool", "vet", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(help), "Registered analyzers:\n\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^    (\w+) `).FindAllStringSubmatch(list, -1) {
		want = append(want, m[1])
	}
	for _, a := range analyzers {
		got = append(got, a.Name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("analyzers (-go vet +here):\n%s", diff)
	}
}

// TestVet: a problem on one platform, or in a test, is reported once.
func TestVet(t *testing.T) {
	if testing.Short() {
		t.Skip("one platform after the other")
	}
	t.Chdir(filepath.Join("testdata", "wrong"))
	var out, errs strings.Builder
	code := run(t.Context(), []string{"-platforms", "linux/amd64,windows/amd64", "./..."}, &out, &errs)
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, filepath.Base(strings.TrimSpace(line)))
	}
	want := []string{"wrong.go:6:14: printf: fmt.Printf format %d reads arg #1, but call has 0 args", "wrong_windows_test.go:5:9: undefined: nothing"}
	if diff := cmp.Diff(want, got); code != 1 || diff != "" {
		t.Errorf("exit %d, %s(-want +got):\n%s", code, errs.String(), diff)
	}
	if code := run(t.Context(), []string{"-platforms", "linux/amd64", "./nowhere"}, &strings.Builder{}, &strings.Builder{}); code == 0 {
		t.Error("run succeeds for a package that does not exist")
	}
	if code := run(t.Context(), []string{"-platforms", "plan10/amd64", "./..."}, &strings.Builder{}, &strings.Builder{}); code != 2 {
		t.Errorf("a platform that does not exist: exit %d, want 2", code)
	}
}
