package kek_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/objectvault/objectvault/envelope/kek"
)

const someRoot = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

func TestCreateFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "objectvault")
	path := filepath.Join(dir, "root.key")
	l, created, err := kek.CreateFile(path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(text) != 65 || string(text) != strings.ToLower(string(text)) || newLocal(t, root).Fingerprint() != l.Fingerprint() {
		t.Errorf("the file does not contain the root: %d bytes, %v", len(text), err)
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, dir: fs.ModeDir | 0o700, filepath.Dir(dir): fs.ModeDir | 0o700} {
		if info, err := os.Stat(p); err != nil || runtime.GOOS != "windows" && info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", p, info.Mode(), err, want)
		}
	}
	again, created, err := kek.CreateFile(path)
	if err != nil || created || again.Fingerprint() != l.Fingerprint() {
		t.Errorf("a second create: created %v, %v", created, err)
	}
	opened, err := kek.OpenFile(path)
	if err != nil || opened.Fingerprint() != l.Fingerprint() {
		t.Errorf("open: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, text) {
		t.Error("the file was changed")
	}
	onlyFile(t, dir)
}

// onlyFile checks that no temporary file is left.
func onlyFile(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%s contains %v, %v", dir, entries, err)
	}
}

// One of many concurrent calls creates the file, and all return its key.
func TestCreateFileRaced(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "a", "root.key")
		const n = 16
		var wg sync.WaitGroup
		prints, winners := make([]string, n), make([]bool, n)
		start := make(chan struct{})
		for i := range n {
			wg.Go(func() {
				<-start
				l, created, err := kek.CreateFile(path)
				if err != nil {
					t.Error(err)
					return
				}
				prints[i], winners[i] = l.Fingerprint(), created
			})
		}
		close(start)
		wg.Wait()
		won := 0
		for i := range n {
			if winners[i] {
				won++
			}
			if prints[i] != prints[0] {
				t.Errorf("two keys: %s and %s", prints[i], prints[0])
			}
		}
		if won != 1 {
			t.Errorf("%d calls reported that they created the file", won)
		}
		onlyFile(t, filepath.Dir(path))
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	body := strings.TrimSuffix(someRoot, "\n")
	const malformed = "it is not 64 characters 0-9 a-f and a newline; restore it from a copy"
	for _, tc := range []struct {
		name, path, want string
		unix             bool
	}{
		{"empty", write("a", "", 0o600), "it is empty; restore it from a copy, or remove it if no key was made yet", false},
		{"truncated", write("b", someRoot[:40], 0o600), "it is cut short, 40 of 65 bytes; restore it from a copy", false},
		{"no newline", write("c", body, 0o600), "it is cut short, 64 of 65 bytes; restore it from a copy", false},
		{"carriage return", write("d", body+"\r\n", 0o600), "it is longer than 64 characters and a newline; restore it from a copy", false},
		{"two newlines", write("e", body+"\n\n", 0o600), "it is longer than 64 characters and a newline; restore it from a copy", false},
		{"huge", write("f", strings.Repeat(body, 1000), 0o600), "it is longer than 64 characters and a newline; restore it from a copy", false},
		{"upper case", write("g", strings.ToUpper(body)+"\n", 0o600), malformed, false},
		{"not hex", write("h", "g"+someRoot[1:], 0o600), malformed, false},
		{"space for newline", write("i", body+" ", 0o600), malformed, false},
		{"readable by the group", write("j", someRoot, 0o640), "other users can access " + dir + "/j (mode 0640): chmod 600 " + dir + "/j", true},
		{"readable by all users", write("k", someRoot, 0o604), "other users can access " + dir + "/k (mode 0604): chmod 600 " + dir + "/k", true},
		{"writable by all users", write("l", someRoot, 0o602), "other users can access " + dir + "/l (mode 0602): chmod 600 " + dir + "/l", true},
		{"executable by the group", write("m", someRoot, 0o610), "other users can access " + dir + "/m (mode 0610): chmod 600 " + dir + "/m", true},
		{"directory", dir, dir + " is not a regular file", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.unix && runtime.GOOS == "windows" {
				t.Skip("Windows has no such modes")
			}
			before, _ := os.ReadFile(tc.path)
			for what, open := range map[string]func() error{
				"open":   func() error { _, err := kek.OpenFile(tc.path); return err },
				"create": func() error { _, _, err := kek.CreateFile(tc.path); return err },
				"import": func() error { _, _, err := kek.ImportFile(tc.path, strings.NewReader(someRoot)); return err },
			} {
				err := open()
				if !errors.Is(err, kek.ErrKeyFile) || !strings.HasSuffix(err.Error(), "unusable root key file: "+tc.want) {
					t.Errorf("%s: %v, want …%s", what, err, tc.want)
				}
				if err != nil && strings.Contains(err.Error(), "0405060708") {
					t.Errorf("%s: the error shows the key: %v", what, err)
				}
			}
			if after, _ := os.ReadFile(tc.path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := kek.OpenFile(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, kek.ErrKeyFile) {
		t.Errorf("absent: %v", err)
	}
}

func TestImportFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "root.key")
	l, created, err := kek.ImportFile(path, strings.NewReader(someRoot))
	if err != nil || !created || l.Fingerprint() != kek.InsecureFixed().Fingerprint() {
		t.Fatal(created, err)
	}
	if text, err := os.ReadFile(path); string(text) != someRoot {
		t.Errorf("the file has other contents: %v", err)
	}
	if _, created, err := kek.ImportFile(path, strings.NewReader(someRoot)); err != nil || created {
		t.Errorf("import of the same root: created %v, %v", created, err)
	}
	_, _, err = kek.ImportFile(path, strings.NewReader("ff"+someRoot[2:]))
	if want := "import: " + path + " contains another root key, with fingerprint 5702411fe3f18693: file already exists"; !errors.Is(err, fs.ErrExist) || err.Error() != want {
		t.Errorf("import of another root: %v, want %s", err, want)
	}
	fresh := filepath.Join(t.TempDir(), "root.key")
	body := strings.TrimSuffix(someRoot, "\n")
	for text, want := range map[string]string{
		"":                                     "it is empty",
		" \r\n\ufeff":                          "it is empty",
		someRoot + "x":                         "character 1 of line 2 is not a digit 0-9 a-f",
		"0x" + body:                            "character 2 of line 1 is not a digit 0-9 a-f",
		body[:40] + "\r\n" + body[40:63] + "g": "character 24 of line 2 is not a digit 0-9 a-f",
		body[:63]:                              "it has 63 digits instead of 64",
		body + "a":                             "it has 65 digits instead of 64",
		body + "\n" + body:                     "it has 128 digits instead of 64",
		"5702411fe3f18693\n":                   "it has 16 digits instead of 64; this may be a fingerprint",
		strings.Repeat(body+"\n", 64):          "it is longer than 4 KiB, but a root key has 64 digits",
		"\xff\xfe" + strings.Join(strings.Split(body, ""), "\x00") + "\x00": "it is UTF-16 text: save it as UTF-8",
		"\x00" + body: "it is UTF-16 text: save it as UTF-8",
		body + "\x00": "character 65 of line 1 is not a digit 0-9 a-f",
	} {
		_, _, err := kek.ImportFile(fresh, strings.NewReader(text))
		if !errors.Is(err, kek.ErrKeyFile) || !errors.Is(err, kek.ErrNotRoot) || err.Error() != "import: unusable root key file: "+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{
		body, body + "\r\n", body + "\n\n", " \t" + body + " \n", strings.ToUpper(body), "\ufeff" + body, "\u00a0" + body + "\u200b",
		body[:32] + "\r\n" + body[32:] + "\r\n", strings.Join([]string{body[:16], body[16:32], body[32:48], body[48:]}, " "),
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		if _, created, err := kek.ImportFile(path, strings.NewReader(text)); err != nil || !created {
			t.Errorf("%q: created %v, %v", text, created, err)
		}
		if got, err := os.ReadFile(path); string(got) != someRoot {
			t.Errorf("%q made %q, %v", text, got, err)
		}
	}
	if _, _, err := kek.ImportFile(fresh, iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing reader: %v", err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused import left a file: %v", err)
	}
}

// A failed call leaves neither the file nor a temporary one.
func TestCreateFileFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, created, err := kek.CreateFile(filepath.Join(file, "root.key")); err == nil || created {
		t.Errorf("below a file: created %v, %v", created, err)
	}
	onlyFile(t, dir)
}
