package objectvault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// blocks returns the fenced code blocks of a page in a language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, part := range strings.Split(string(data), "\n```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		list = append(list, block+"\n")
	}
	if len(list) == 0 {
		t.Fatalf("%s has no %s block: this test would pass without looking at anything", page, language)
	}
	return list
}

// TestReadmeProgram compiles and runs the program that README.md shows.
func TestReadmeProgram(t *testing.T) {
	program := blocks(t, "README.md", "go")[0]
	if n := strings.Count(program, "\n"); n > 35 {
		t.Errorf("the program has %d lines", n)
	}
	dir := t.TempDir()
	main := filepath.Join(dir, "main.go")
	if err := os.WriteFile(main, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", main, filepath.Join(dir, "store"), filepath.Join(dir, "root.key")).CombinedOutput()
	if err != nil || string(out) != "sk-or-v1-demo\n" {
		t.Errorf("it printed %q, %v", out, err)
	}
}

// TestReadmeSession runs the commands that README.md shows, one after another in a
// fresh home, and compares their output. An ellipsis matches any text.
func TestReadmeSession(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	home := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(home, "bin", "vault"), "./cmd/vault")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, session := range blocks(t, "README.md", "console") {
		for _, step := range strings.Split("\n"+session, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step, "\n")
			sh := exec.Command("sh", "-c", command)
			sh.Dir = home
			sh.Env = []string{"HOME=" + home, "PATH=" + filepath.Join(home, "bin") + ":" + os.Getenv("PATH")}
			got, _ := sh.CombinedOutput() // the exit code of a failing command is part of the session
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", ".*") + "$"
			if !regexp.MustCompile(pattern).MatchString(strings.TrimSpace(strings.ReplaceAll(string(got), home, "~"))) {
				t.Errorf("$ %s\nprinted:\n%s\nREADME.md shows:\n%s", command, got, want)
			}
		}
	}
}
