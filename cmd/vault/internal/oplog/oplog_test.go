package oplog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/oplog"
	"github.com/objectvault/objectvault/internal/filelock"
)

// lines returns the names in the lines of a file, each of which must be complete.
func lines(t *testing.T, path string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, l := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		var line oplog.Line
		if len(l) == 0 {
			continue
		}
		if err := json.Unmarshal(l, &line); err != nil {
			t.Errorf("%s: %q: %v", path, l, err)
		}
		names = append(names, line.Name)
	}
	return names
}

// Ten writers, each with its own file, append and rotate. Every line is complete and in one file, and no
// file is much larger than allowed.
func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.log")
	const size = 4000
	var all sync.WaitGroup
	for w := range 10 {
		all.Go(func() {
			for i := range 5 {
				l := &oplog.Log{Path: path, Size: size}
				if err := l.Append(t.Context(), oplog.Line{Time: time.Now(), Op: "put", Name: fmt.Sprintf("%d-%d", w, i), Result: "ok"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seen := make(map[string]bool)
	for _, suffix := range []string{"", ".1", ".2", ".3"} {
		for _, name := range lines(t, path+suffix) {
			if seen[name] {
				t.Errorf("%s is in two lines", name)
			}
			seen[name] = true
		}
		if fi, err := os.Stat(path + suffix); err == nil && (fi.Size() > size+1000 || fi.Mode().Perm() != 0o600) {
			t.Errorf("%s has %d bytes and mode %v", suffix, fi.Size(), fi.Mode())
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d of 50 lines are in the files", len(seen))
	}
}

// Only the newest old files stay.
func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.log")
	l := &oplog.Log{Path: path, Size: 1}
	for i := range 7 {
		if err := l.Append(t.Context(), oplog.Line{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for suffix, want := range map[string]string{"": "6", ".1": "5", ".2": "4", ".3": "3"} {
		if got := lines(t, path+suffix); len(got) != 1 || got[0] != want {
			t.Errorf("%s has %q", suffix, got)
		}
	}
	if _, err := os.Stat(path + ".4"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a fourth old file stays: %v", err)
	}
}

// If the file cannot be renamed, lines are appended all the same, and the old files stay.
func TestRotateFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.log")
	l := &oplog.Log{Path: path, Size: 1}
	for i := range 4 {
		if err := l.Append(t.Context(), oplog.Line{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(path+".rotating", "x"), 0o700); err != nil { // a rename onto it fails
		t.Fatal(err)
	}
	for i := range 3 {
		var failed *oplog.RotateError
		if err := l.Append(t.Context(), oplog.Line{Name: fmt.Sprint("late", i)}); !errors.As(err, &failed) {
			t.Errorf("append: %v", err)
		}
	}
	for suffix, want := range map[string]string{"": "[3 late0 late1 late2]", ".1": "[2]", ".2": "[1]", ".3": "[0]"} {
		if got := fmt.Sprint(lines(t, path+suffix)); got != want {
			t.Errorf("%s has %s, want %s", suffix, got, want)
		}
	}
}

// A rotation that was interrupted is finished by the next one, and no line is lost.
func TestRotateInterrupted(t *testing.T) {
	for _, tc := range []struct {
		files []string // the file with line i is FILE plus suffix i
		want  map[string]string
	}{
		{[]string{".2", ".1", ".rotating", ""}, map[string]string{"": "late", ".1": "3", ".2": "2", ".3": "1"}},
		{[]string{".2", ".rotating", ""}, map[string]string{"": "late", ".1": "2", ".2": "1", ".3": "0"}},
		{[]string{".3", ".2", ".rotating", ""}, map[string]string{"": "late", ".1": "3", ".2": "2", ".3": "1"}},
		{[]string{".rotating", ""}, map[string]string{"": "late", ".1": "1", ".2": "0"}},
	} {
		path := filepath.Join(t.TempDir(), "ops.log")
		for i, suffix := range tc.files {
			if err := os.WriteFile(path+suffix, fmt.Appendf(nil, `{"name":"%d"}`+"\n", i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := (&oplog.Log{Path: path, Size: 1}).Append(t.Context(), oplog.Line{Name: "late"}); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", ".1", ".2", ".3", ".rotating"} {
			want := []string{tc.want[suffix]}
			if want[0] == "" {
				want = nil
			}
			if got := lines(t, path+suffix); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v: %s has %v, want %v", tc.files, suffix, got, want)
			}
		}
	}
}

// If a file cannot be renamed in the middle of a rotation, later rotations do not replace its lines.
func TestRotateStuck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.log")
	l := &oplog.Log{Path: path, Size: 1}
	if err := os.MkdirAll(filepath.Join(path+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path+".2", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".3", nil, 0o600); err != nil { // a directory cannot replace it
		t.Fatal(err)
	}
	for i := range 4 {
		var failed *oplog.RotateError
		if err := l.Append(t.Context(), oplog.Line{Name: fmt.Sprint(i)}); i > 0 && !errors.As(err, &failed) {
			t.Errorf("append: %v", err)
		}
	}
	if got := append(lines(t, path+".rotating"), lines(t, path)...); fmt.Sprint(got) != "[0 1 2 3]" {
		t.Errorf("%v", got)
	}
}

// While another user exchanges the files for links, no line is written elsewhere.
func TestExchangedForLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("other users cannot create symbolic links by default")
	}
	dir := t.TempDir()
	path, target := filepath.Join(dir, "ops.log"), filepath.Join(dir, "target")
	stop := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{path, path + ".lock"} {
				os.Remove(name)
				os.Symlink(target, name)
				os.Remove(name)
			}
		}
	})
	for range 5000 {
		(&oplog.Log{Path: path}).Append(t.Context(), oplog.Line{Name: "a"}) // it may fail
	}
	close(stop)
	other.Wait()
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link was followed: %v", err)
	}
}

// A line that was cut does not damage the next one.
func TestCutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ops.log")
	if err := os.WriteFile(path, []byte(`{"op":"pu`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&oplog.Log{Path: path}).Append(t.Context(), oplog.Line{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(path)
	if parts := bytes.SplitN(text, []byte("\n"), 2); len(parts) != 2 || !json.Valid(parts[1]) {
		t.Errorf("%q", text)
	}
}

// A file that others can read, that is no file, or that another process has locked is refused.
func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.log")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (&oplog.Log{Path: open}).Append(t.Context(), oplog.Line{}); !errors.Is(err, oplog.ErrNotPrivate) {
		t.Errorf("mode 0644: %v", err)
	}
	link := filepath.Join(dir, "link.log")
	os.Symlink(filepath.Join(dir, "target"), link)
	for _, path := range []string{dir, filepath.Join(dir, "none", "ops.log"), link} {
		if err := (&oplog.Log{Path: path}).Append(t.Context(), oplog.Line{}); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
	path := filepath.Join(dir, "ops.log")
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := filelock.Lock(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := (&oplog.Log{Path: path}).Append(ctx, oplog.Line{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a locked file: %v", err)
	}
}
