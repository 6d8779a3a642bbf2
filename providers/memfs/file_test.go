package memfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/vault"
)

func openDir(t testing.TB, dir string) *vault.Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(s *vault.Store, key, value string) error {
	return s.Bucket.WriteAll(context.Background(), key, []byte(value), withItself(plain))
}

// contents returns the values in the history of key, newest first; "-" is a deletion.
func contents(t testing.TB, s *vault.Store, key string) []string {
	t.Helper()
	var all []string
	for v, err := range s.History.Versions(context.Background(), key) {
		if err != nil {
			t.Fatal(err)
		}
		if v.Deleted {
			all = append(all, "-")
			continue
		}
		r, _, err := s.History.OpenVersion(context.Background(), key, v.ID, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// snapshot returns all entries below dir except locks: names, modes, times and contents.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || path.Dir(filepath.ToSlash(rel)) == lockDir {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		all[filepath.ToSlash(rel)] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(name)
			all[filepath.ToSlash(rel)] += fmt.Sprintf(" %q at %d", b, fi.ModTime().UnixMicro())
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLayout compares the files of a store with the package comment.
func TestLayout(t *testing.T) {
	dir := filepath.Join(newDir(t), "new")
	var micros int64
	s, err := Open(t.Context(), Config{Dir: dir, Now: func() time.Time { micros += 16; return time.UnixMicro(micros) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, err := range []error{
		put(s, "a/b.enc", "one"), write(s, "a/b.enc", "two"), put(s, "c", "gone"), s.Bucket.Delete(t.Context(), "c"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const drwx, frw = "drwx------", "-rw------- "
	want := map[string]string{
		".": drwx, meta: drwx, tmpDir: drwx, lockDir: drwx, versions: drwx, "a": drwx,
		versions + "/a": drwx, versions + "/a/b.enc": drwx, versions + "/c": drwx,
		"a/b.enc":                             frw + `"two" at 32`,
		versions + "/a/b.enc/" + formatID(16): frw + `"one" at 16`,
		versions + "/a/b.enc/" + formatID(32) + ".attrs": frw + `"{\"metadata\":{\"value\":\"two\"}}\n" at `,
		versions + "/c/" + formatID(48):                  frw + `"gone" at 48`,
		versions + "/c/" + formatID(64) + ".deleted":     frw + `"" at `,
		formatFile: frw + `"objectvault file store 1\n" at `,
	}
	got := snapshot(t, dir)
	for name := range got {
		if at, ok := want[name]; ok && strings.HasSuffix(at, "at ") { // the time has no meaning
			got[name] = got[name][:strings.LastIndexByte(got[name], ' ')+1]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestOddFiles puts files into a store that do not belong there: the store rejects them,
// follows no link, and does not report the object as absent.
func TestOddFiles(t *testing.T) {
	const key = "bots/t/openai.enc"
	ctx := t.Context()
	type verb struct {
		name string
		do   func(s *vault.Store) error
	}
	reads := []verb{
		{"read", func(s *vault.Store) error { _, err := s.Bucket.ReadAll(ctx, key); return err }},
		{"stat", func(s *vault.Store) error { _, err := s.Bucket.Attributes(ctx, key); return err }},
		{"versions", func(s *vault.Store) error {
			for _, err := range s.History.Versions(ctx, key) {
				return err
			}
			return nil
		}},
	}
	list := verb{"list", func(s *vault.Store) error {
		_, _, err := s.Bucket.ListPage(ctx, []byte("first page"), 10, nil)
		return err
	}}
	writes := []verb{
		{"put", func(s *vault.Store) error { return put(s, key, "new") }},
		{"delete", func(s *vault.Store) error { return s.Bucket.Delete(ctx, key) }},
	}
	all := slices.Concat(reads, writes)
	swapFor := func(name, target string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			at := filepath.Join(dir, name)
			if err := os.Rename(at, filepath.Join(dir, "..", "moved")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	lock := lockDir + "/15" // that of key
	for _, tc := range []struct {
		name  string
		odd   func(t *testing.T, dir string)
		verbs []verb
		text  string
	}{
		{"object is a link inside", swapFor(key, "../../other"), append(all, list), "DIR/bots/t/openai.enc is a symbolic link, which is not allowed in a store: remove it"},
		{"object is a link outside", swapFor(key, "../../../moved"), append(all, list), "symbolic link"},
		{"object is a dangling link", swapFor(key, "nowhere"), append(all, list), "symbolic link"},
		{"directory is a link outside", swapFor("bots/t", "../../moved"), append(all, list), "DIR/bots/t is a symbolic link"},
		{"directory is a link inside", swapFor("bots", "other"), append(all, list), "DIR/bots is a symbolic link"},
		{"tmp is a link", swapFor(tmpDir, "../../moved"), writes[:1], "DIR/.objectvault/tmp is a symbolic link"},
		{"lock is a link", swapFor(lockDir, "../../moved"), writes, "DIR/.objectvault/lock is a symbolic link"},
		{"a lock is a link", swapFor(lock, "../../../moved"), writes, "DIR/" + lock + " is a symbolic link"},
		{"versions is a link", swapFor(versions, "../../moved"), writes, "DIR/.objectvault/versions is a symbolic link"},
		{"versions of the key is a link", swapFor(versions+"/"+key, "../../../../../moved"), all, "symbolic link"},
		{"object is a pipe", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, key))
			if err := exec.Command("mkfifo", "-m", "600", filepath.Join(dir, key)).Run(); err != nil {
				t.Skip(err)
			}
		}, append(all, list), "DIR/bots/t/openai.enc is neither a file nor a directory: remove it"},
		{"object readable by the group", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, key), 0o640); err != nil {
				t.Fatal(err)
			}
		}, all, "DIR/bots/t/openai.enc is accessible to other users (-rw-r-----): run chmod 600 DIR/bots/t/openai.enc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := newDir(t)
			s := openDir(t, dir)
			for _, err := range []error{put(s, key, "old"), put(s, key, "value"), put(s, "other/t/openai.enc", "other"), put(s, "other/link", "x")} {
				if err != nil {
					t.Fatal(err)
				}
			}
			tc.odd(t, dir)
			top := filepath.Dir(dir)
			before := snapshot(t, top)
			for _, v := range tc.verbs {
				err := v.do(s)
				if err == nil || !errors.Is(err, vault.ErrPermission) || errors.Is(err, vault.ErrNotFound) ||
					!strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), tc.text) {
					t.Errorf("%s: %v\nwant ... %s", v.name, err, tc.text)
				}
			}
			after := snapshot(t, top)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("files have changed:\n%s", diff)
			}
		})
	}
}

// TestForeignDirectories opens directories that are not stores, or belong to another user: they
// stay unchanged.
func TestForeignDirectories(t *testing.T) {
	make := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				name, content, isFile := strings.Cut(name, "=")
				var err error
				if isFile {
					err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
				} else {
					err = os.Mkdir(filepath.Join(dir, name), 0o700)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	chmod := func(name string, mode fs.FileMode) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			openDir(t, dir)
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name string
		make func(t *testing.T, dir string)
		want error
		text string
	}{
		{"unrelated files", make("photo.jpg=x"), vault.ErrUnsupported, "the directory contains photo.jpg, but is not a store: choose an empty directory. " +
			`If the directory is a store that lost its format file, create the file DIR/.objectvault/format with the text "objectvault file store 1\n"`},
		{"objects without a format file", make("bots", meta), vault.ErrUnsupported, "the directory contains bots, but is not a store"},
		{"newer format", make(meta, formatFile+"=objectvault file store 2\n"), vault.ErrUnsupported,
			`DIR/.objectvault/format contains the format "objectvault file store 2\n", but this program supports only "objectvault file store 1\n": use a newer program, or check that the directory is a store`},
		{"empty format file", make(meta, formatFile+"="), vault.ErrUnsupported, `contains the format ""`},
		{"format file with trailing data", make(meta, formatFile+"=objectvault file store 1\nx"), vault.ErrUnsupported, "contains the format"},
		{"directory writable by the group", chmod(".", 0o770), vault.ErrPermission, "DIR is accessible to other users (-rwxrwx---): run chmod 700 DIR"},
		{"directory writable by all users", chmod(".", 0o702), vault.ErrPermission, "DIR is accessible to other users (-rwx----w-): run chmod 700 DIR"},
		{".objectvault accessible to the group", chmod(meta, 0o750), vault.ErrPermission, "DIR/.objectvault is accessible to other users (-rwxr-x---): run chmod 700 DIR/.objectvault"},
		{"path is a file", func(t *testing.T, dir string) {
			if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, vault.ErrConfig, "open DIR: not a directory"},
		{".objectvault is a file", make(meta + "="), vault.ErrPermission, "DIR/.objectvault is not a directory"},
		{".objectvault is a link", func(t *testing.T, dir string) {
			make("../elsewhere")(t, dir)
			if err := os.Symlink("../elsewhere", filepath.Join(dir, meta)); err != nil {
				t.Fatal(err)
			}
		}, vault.ErrPermission, "DIR/.objectvault is a symbolic link"},
		{"directory of another user", func(t *testing.T, dir string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can change the owner of a directory")
			}
			if err := os.Chown(dir, 4711, 4711); err != nil {
				t.Fatal(err)
			}
		}, vault.ErrPermission, "DIR belongs to user 4711, but this process runs as user 0: run it as the owner, or change the owner with chown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := newDir(t)
			tc.make(t, dir)
			before := snapshot(t, filepath.Dir(dir))
			_, err := Open(t.Context(), Config{Dir: dir})
			if err == nil || !errors.Is(err, tc.want) || errors.Is(err, vault.ErrNotFound) || !strings.Contains(strings.ReplaceAll(err.Error(), dir, "DIR"), tc.text) {
				t.Errorf("Open: %v\nwant ... %s", err, tc.text)
			}
			if diff := cmp.Diff(before, snapshot(t, filepath.Dir(dir))); diff != "" {
				t.Errorf("files have changed:\n%s", diff)
			}
		})
	}
	// A directory that other users may read is accepted, new or not: t.TempDir is one.
	for _, mode := range []fs.FileMode{0o755, 0o750, 0o711} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := put(openDir(t, dir), "bots/key", "x"); err != nil {
				t.Errorf("mode %v: %v", mode, err)
			}
		}
		for name, what := range snapshot(t, dir) {
			if want := "-rw-------"; name != "." && !strings.HasPrefix(what, "drwx------") && !strings.HasPrefix(what, want) {
				t.Errorf("other users can access %s: %s", name, what)
			}
		}
	}
	// A link to the directory is accepted.
	dir := newDir(t)
	link := filepath.Join(filepath.Dir(dir), "link")
	if err := os.Symlink("store", link); err != nil {
		t.Fatal(err)
	}
	if err := put(openDir(t, link), "key", "x"); err != nil {
		t.Error(err)
	}
}

// TestKeyBelowKey puts two keys, one of which is a directory of the other.
func TestKeyBelowKey(t *testing.T) {
	dir := newDir(t)
	s := openDir(t, dir)
	ctx := t.Context()
	if err := put(s, "a/b/c", "x"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b", "a/b/c/d", "a/b/c/d/e"} {
		before := snapshot(t, dir)
		_, err := s.Create.Create(ctx, key, func(w io.Writer) error { return nil })
		if !errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrExist) {
			t.Errorf("create %s: %v", key, err)
		}
		if err := put(s, key, "y"); !errors.Is(err, vault.ErrConflict) || gcerrors.Code(err) != gcerrors.FailedPrecondition {
			t.Errorf("put %s: %v", key, err)
		}
		if _, err := s.Bucket.ReadAll(ctx, key); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("read %s: %v", key, err)
		}
		if err := s.Bucket.Delete(ctx, key); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("delete %s: %v", key, err)
		}
		if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
			t.Errorf("%s: files have changed:\n%s", key, diff)
		}
	}
	// They may exist one after the other, even if a killed writer left directories.
	if err := s.Bucket.Delete(ctx, "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a", "b", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b"} {
		if err := put(s, key, key); err != nil {
			t.Errorf("put %s: %v", key, err)
		}
		if got := contents(t, s, key); !slices.Equal(got, []string{key}) {
			t.Errorf("%s contains %q", key, got)
		}
		if err := s.Bucket.Delete(ctx, key); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directory still exists: %v", err)
	}
}

// TestEmptiedDirectories creates objects while deletions keep removing the directory.
func TestEmptiedDirectories(t *testing.T) {
	t.Parallel()
	s := openDir(t, newDir(t))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint("a/b/c/", i)
			for range 40 {
				if err := put(s, key, key); err != nil {
					t.Error(err)
					return
				}
				if b, err := s.Bucket.ReadAll(context.Background(), key); string(b) != key {
					t.Errorf("%s contains %q, %v", key, b, err)
				}
				if err := s.Bucket.Delete(context.Background(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLeftovers creates the files that killed processes leave: they do no harm and are removed.
func TestLeftovers(t *testing.T) {
	dir := newDir(t)
	shelf, err := openFiles(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var later time.Duration
	shelf.clock = func() time.Time { return time.Now().Add(later) }
	s := newStore("file://"+dir, shelf, Config{})
	defer s.Close()
	if err := errors.Join(put(s, "key", "one"), put(s, "key", "two")); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	id := idAt(fi.ModTime())
	of := filepath.Join(dir, versions, "key")
	clean := snapshot(t, dir)
	for _, err := range []error{
		os.Link(filepath.Join(dir, "key"), filepath.Join(of, formatID(id))),              // killed before the rename
		os.WriteFile(filepath.Join(of, formatID(id+7)+attrsSuffix), []byte("{}"), 0o600), // killed before the link
		os.WriteFile(filepath.Join(of, formatID(id+9)+deletedSuffix), []byte(""), 0o600), // killed before the removal
		os.WriteFile(filepath.Join(dir, tmpDir, "LEFT"), []byte("half"), 0o600),          // killed while it wrote
		os.Link(filepath.Join(dir, "key"), filepath.Join(dir, tmpDir, "LINKED")),         // killed after the link
		os.WriteFile(filepath.Join(dir, tmpDir, "LIVE"), []byte("still writing"), 0o600), // not killed
		os.WriteFile(filepath.Join(of, "README"), []byte("another program's"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	live, err := os.OpenFile(filepath.Join(dir, tmpDir, "LIVE"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := (rootFile{live}).lock(true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"two", "one"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	openDir(t, dir) // sweeps tmp
	if diff := cmp.Diff([]string{"LIVE"}, names(t, filepath.Join(dir, tmpDir))); diff != "" {
		t.Errorf("tmp after an open (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, tmpDir, "LEFT"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	later = sweepEvery + time.Second
	if err := put(s, "key", "three"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"LIVE"}, names(t, filepath.Join(dir, tmpDir))); diff != "" {
		t.Errorf("tmp after a write (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"three", "two", "one"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if attrs, err := s.Bucket.Attributes(t.Context(), "key"); err != nil || attrs.ETag <= `"`+formatID(id+9) {
		t.Errorf("the id %s is not greater than all earlier ids, %v", attrs.ETag, err)
	}
	live.Close()
	openDir(t, dir)
	want := len(clean) + 2 // plus a version and a file of another program
	if got := snapshot(t, dir); len(got) != want {
		t.Errorf("%d files remain, want %d: %v", len(got), want, got)
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestForeignTools changes the files of a store with other programs.
func TestForeignTools(t *testing.T) {
	dir := newDir(t)
	s := openDir(t, dir)
	if err := errors.Join(write(s, "key", "one"), write(s, "key", "two"), write(s, "key", "three")); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for v, err := range s.History.Versions(t.Context(), "key") {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	file := filepath.Join(dir, "key")
	copyBack := func(from string, touch bool) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(file), os.WriteFile(file, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		if !touch {
			if err := os.Chtimes(file, fi.ModTime(), fi.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
	}
	// An old version that is copied back with its time is the same version, including its
	// attributes.
	copyBack(filepath.Join(dir, versions, "key", ids[2]), false)
	attrs, err := s.Bucket.Attributes(t.Context(), "key")
	if err != nil || attrs.Metadata["value"] != "one" || attrs.ETag != `"`+ids[2]+`"` {
		t.Errorf("copied back: %+v, %v", attrs, err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if err := write(s, "key", "four"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"four", "two", "one"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	// A copy without its time is a new version.
	copyBack(filepath.Join(dir, versions, "key", ids[2]), true)
	if err := write(s, "key", "five"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"five", "one", "two", "one"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	// Two files with the same time are not the same version.
	copyBack(filepath.Join(dir, versions, "key", ids[1]), false)
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("TWO"), 0o600), os.Chtimes(file, fi.ModTime(), fi.ModTime())); err != nil {
		t.Fatal(err)
	}
	write(s, "key", "six") // removes the attributes of five, which we have replaced by hand
	before := snapshot(t, dir)
	for verb, err := range map[string]error{"write": write(s, "key", "six"), "delete": s.Bucket.Delete(t.Context(), "key")} {
		if !errors.Is(err, vault.ErrConflict) || !strings.Contains(err.Error(), "differ, but have the same modification time: run touch on the first file") {
			t.Errorf("%s over a file with the time of another version: %v", verb, err)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files have changed:\n%s", diff)
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(file, now, now), write(s, "key", "six")); err != nil {
		t.Error(err)
	}
	// Objects can be read if parts of .objectvault are lost.
	if err := os.RemoveAll(filepath.Join(dir, meta)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, meta), 0o700), os.WriteFile(filepath.Join(dir, formatFile), []byte(format), 0o600)); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	if diff := cmp.Diff([]string{"six"}, contents(t, s, "key")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if err := write(s, "key", "seven"); err != nil {
		t.Error(err)
	}
	// Damaged attributes are an error, not no attributes.
	attrs, err = s.Bucket.Attributes(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, versions, "key", strings.Trim(attrs.ETag, `"`)+attrsSuffix), []byte(`{"met`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bucket.ReadAll(t.Context(), "key"); err == nil || errors.Is(err, vault.ErrNotFound) || !strings.Contains(err.Error(), "attributes in "+dir) {
		t.Errorf("damaged attributes: %v", err)
	}
	// A file that is truncated while it is read is an error.
	if err := put(s, "cut", "0123456789"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Bucket.NewReader(t.Context(), "cut", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(dir, "cut"), 4); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a truncated file: %q, %v", b, err)
	}
}

// TestOtherNames lists a store with files whose names are not the path of any key.
func TestOtherNames(t *testing.T) {
	dir := newDir(t)
	s := openDir(t, dir)
	if err := put(s, "key", "x"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a:b", "!2e", "x!", "e!+", "é", "CON"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".rsync-partial"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	page, _, err := s.Bucket.ListPage(t.Context(), []byte("first page"), 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range page {
		got = append(got, o.Key)
	}
	if diff := cmp.Diff([]string{".rsync-partial", "key"}, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestTmpfs fills a real file system.
func TestTmpfs(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "memfs-test", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system to fill (TestFullDisk does it without one): %v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	}()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(s, "key", "before"); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	large := strings.Repeat("x", 300<<10)
	if err := put(s, "key", large); !errors.Is(err, vault.ErrNoSpace) || gcerrors.Code(err) != gcerrors.ResourceExhausted {
		t.Errorf("put into a full store: %v", err)
	}
	_, err = s.Create.Create(t.Context(), "new/key", func(w io.Writer) error { _, err := io.WriteString(w, large); return err })
	if !errors.Is(err, vault.ErrNoSpace) {
		t.Errorf("create in a full store: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files have changed:\n%s", diff)
	}
	if err := put(s, "key", "after"); err != nil {
		t.Error(err)
	}
}
