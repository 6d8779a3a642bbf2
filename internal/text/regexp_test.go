package text

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPatterns: every pattern of the module is valid, because it is compiled only when it is used.
func TestPatterns(t *testing.T) {
	literal := regexp.MustCompile("NewRegexp\\(`([^`]*)`\\)")
	calls, patterns := 0, 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "regexp_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		calls += strings.Count(string(source), "= text.NewRegexp(") + strings.Count(string(source), "= NewRegexp(")
		for _, m := range literal.FindAllStringSubmatch(string(source), -1) {
			patterns++
			if _, err := regexp.Compile(m[1]); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if patterns < 20 || patterns != calls {
		t.Errorf("%d of %d patterns were found", patterns, calls)
	}
}

func TestRegexp(t *testing.T) {
	r := NewRegexp(`^a(b+)$`)
	if !r.MatchString("abb") || r.MatchString("ab c") || !r.Match([]byte("ab")) || r.ReplaceAllString("ab", "x") != "x" || r.FindStringSubmatch("abb")[1] != "bb" {
		t.Error("the expression does not match as one of package regexp")
	}
}
