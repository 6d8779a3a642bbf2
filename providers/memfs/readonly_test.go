package memfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/vault"
)

// readAll uses every read method of a store for key, which has one old version, and checks the
// results.
func readAll(t *testing.T, s *vault.Store, key, want string) {
	t.Helper()
	if got, err := s.Bucket.ReadAll(t.Context(), key); string(got) != want || err != nil {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
	if page, _, err := s.Bucket.ListPage(t.Context(), blob.FirstPageToken, 10, nil); err != nil || len(page) != 1 || page[0].Key != key {
		t.Errorf("listed %v, %v", page, err)
	}
	if _, err := s.Bucket.Attributes(t.Context(), key); err != nil {
		t.Error(err)
	}
	contents(t, s, key)
	for _, err := range s.Purge.Leftovers(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
	}
}

// TestReadsChangeNothing: opening and reading a store makes no call that changes or syncs the
// disk.
func TestReadsChangeNothing(t *testing.T) {
	dir := newDir(t)
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"one", "two"} {
		if err := put(s, "key", value); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s, err = openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
		if !slices.Contains([]string{"lstat", "open", "opendir", "list", "flock", "close"}, c.op) || c.op == "open" && c.flag != os.O_RDONLY {
			t.Errorf("%s %s", c.op, c.name)
		}
		return real()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readAll(t, s, "key", "two")
}

// TestReadOnlyCopy: a copy of a store on a read-only disk, without its empty directories, can
// be read. A write is denied and changes nothing.
func TestReadOnlyCopy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the error codes are those of Unix")
	}
	dir := newDir(t)
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(s, "key", "value"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, empty := range []string{tmpDir, versions, lockDir} {
		if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(empty))); err != nil {
			t.Fatal(err)
		}
	}
	for _, mustExist := range []bool{true, false} {
		s, err = openTapped(t, Config{Dir: dir, MustExist: mustExist}, func(c *call, real func() error) error {
			switch {
			case slices.Contains([]string{"mkdir", "link", "rename", "remove", "chtime", "write"}, c.op), c.op == "open" && c.flag != os.O_RDONLY:
				return &fs.PathError{Op: c.op, Path: c.name, Err: syscall.EROFS}
			}
			return real()
		})
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, s, "key", "value")
		if err := put(s, "key", "new"); !errors.Is(err, vault.ErrPermission) {
			t.Errorf("put: %v", err)
		}
		if err := s.Bucket.Delete(t.Context(), "key"); !errors.Is(err, vault.ErrPermission) {
			t.Errorf("delete: %v", err)
		}
		readAll(t, s, "key", "value")
		s.Close()
	}
	// After it becomes writable, the next write completes it.
	s, err = Open(t.Context(), Config{Dir: dir, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Bucket.Delete(t.Context(), "key"); err != nil {
		t.Error(err)
	}
	if err := put(s, "key", "new"); err != nil {
		t.Error(err)
	}
}

// TestUnsyncedDirectories: a store on a file system that cannot sync directories works, and the
// first write reports it. A disk failure is not reported as such.
func TestUnsyncedDirectories(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the error codes are those of Unix")
	}
	for _, code := range []syscall.Errno{syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP} {
		calls := 0
		open := func(dir string, code syscall.Errno) *vault.Store {
			s, err := openTapped(t, Config{Dir: dir, Unsynced: func(at string) {
				if calls++; at != dir {
					t.Errorf("Unsynced was called with %s, want %s", at, dir)
				}
			}}, func(c *call, real func() error) error {
				if c.op == "sync" {
					return &fs.PathError{Op: "sync", Path: c.name, Err: code}
				}
				return real()
			})
			if err != nil {
				t.Fatalf("%v: %v", code, err)
			}
			return s
		}
		dir := newDir(t)
		s := open(dir, code)
		for _, do := range []func() error{
			func() error { return put(s, "key", "one") },
			func() error { return put(s, "key", "two") },
			func() error { return s.Bucket.Delete(t.Context(), "key") },
			func() error { return put(s, "key", "three") },
		} {
			if err := do(); err != nil {
				t.Errorf("%v: %v", code, err)
			}
		}
		if calls != 1 {
			t.Errorf("%v: Unsynced was called %d times, want once", code, calls)
		}
		s.Close()
		calls, s = 0, open(dir, code)
		readAll(t, s, "key", "three")
		if calls != 0 {
			t.Errorf("%v: a read called Unsynced", code)
		}
		s.Close()
		s = open(newDir(t), syscall.EIO)
		if err := put(s, "key", "one"); !errors.Is(err, syscall.EIO) || calls != 0 {
			t.Errorf("a failed sync: %v, Unsynced was called %d times", err, calls)
		}
		s.Close()
	}
}
