package objectvault_test

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unrevised are the directories whose text still has words of words.txt. A directory without any
// must leave the list.
var unrevised = []string{
	"cosblob",
	"envelope",
	"envelope/testdata",
	"envelope/testdata/vectors",
	"federation",
	"policy",
	"policy/aws",
	"policy/tencent",
	"providers/aws",
	"providers/memfs",
	"providers/tencent",
}

// TestWords fails on words of words.txt in any text of the repository: code, comments, documents.
func TestWords(t *testing.T) {
	list, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	var phrases []string
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			// At the start of a sentence, too, but not http.NoBody; and across a line break.
			first := "[" + strings.ToUpper(line[:1]) + line[:1] + "]"
			phrases = append(phrases, first+strings.ReplaceAll(regexp.QuoteMeta(line[1:]), " ", `[\s/]+`))
		}
	}
	if len(phrases) < 10 {
		t.Fatalf("words.txt has %d phrases", len(phrases))
	}
	avoided := regexp.MustCompile(`\b(` + strings.Join(phrases, "|") + `)\b`)
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name == "words.txt" || name == "words_test.go" || name == "LICENSE" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		at := avoided.FindIndex(text)
		if at == nil || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		dir := path.Dir(name)
		found[dir] = true
		if !slices.Contains(unrevised, dir) {
			t.Errorf("%s:%d: %q", name, bytes.Count(text[:at[0]], []byte("\n"))+1, text[at[0]:at[1]])
		}
	}
	for _, dir := range unrevised {
		if !found[dir] {
			t.Errorf("%s has none of the words: remove it from the list", dir)
		}
	}
}
