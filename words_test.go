package objectvault_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unrevised are the directories whose text is not rewritten: published vectors never change.
var unrevised = []string{
	"envelope/testdata/vectors",
}

// frozenText is a sentence of the format with a word of words.txt. It cannot be changed, because a key
// is derived from its signature.
const frozenText = "This signature is a secret key: whoever has it reads and forges this object."

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
	found := make(map[string]bool)
	for _, name := range textFiles(t) {
		if name == "words.txt" || name == "words_test.go" || name == "LICENSE" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(frozenText), []byte(strings.Repeat(" ", len(frozenText))))
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

// textFiles returns the files of the repository, or of a copy of it without git.
func textFiles(t *testing.T) (names []string) {
	t.Helper()
	if out, err := exec.Command("git", "ls-files", "-z").Output(); err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin"):
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
