package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// TestMakeDir checks which directories are synced, including those that another process has
// created.
func TestMakeDir(t *testing.T) {
	top := t.TempDir()
	var synced []string
	note := func(dir string) error {
		rel, err := filepath.Rel(top, dir)
		synced = append(synced, filepath.ToSlash(rel))
		return err
	}
	if err := os.Mkdir(filepath.Join(top, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "a", "b", "c")
	if err := makeDir(dir, note); err != nil {
		t.Fatal(err)
	}
	if want := []string{".", "a", "a/b"}; !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	if fi, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && fi.Mode() != fs.ModeDir|0o700 {
		t.Errorf("made %v, %v", fi.Mode(), err)
	}
	broken := errors.New("the disk is broken")
	if err := makeDir(filepath.Join(dir, "new"), func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a new directory that cannot be synced: %v", err)
	}
	if err := makeDir(dir, func(string) error { return broken }); err != nil {
		t.Errorf("an old directory whose parent cannot be synced: %v", err)
	}
	file := filepath.Join(top, "file")
	if err := Create(file, nil); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(filepath.Join(file, "below")); err == nil {
		t.Error("MakeDir created a directory below a file")
	}
}

// checkOnlyFile checks that the directory contains one file with this content, and no temporary file.
func checkOnlyFile(t *testing.T, name, content string) {
	t.Helper()
	if b, err := os.ReadFile(name); err != nil || string(b) != content {
		t.Errorf("%s contains %q, %v; want %q", filepath.Base(name), b, err, content)
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
	if fi, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func TestCreateAndReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := Create(name, []byte("one")); err != nil {
		t.Fatal(err)
	}
	checkOnlyFile(t, name, "one")
	if err := Create(name, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second create: %v", err)
	}
	checkOnlyFile(t, name, "one")
	if err := Replace(name, []byte("three")); err != nil {
		t.Fatal(err)
	}
	checkOnlyFile(t, name, "three")
	f, err := NewFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(name), TempPattern("file")))
	if err != nil || len(left) != 1 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
	f.Abort()
	f.Abort()
	checkOnlyFile(t, name, "three")
	if _, err := f.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a write after the end: %v", err)
	}
	if err := f.Replace(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a replace after the end: %v", err)
	}
	checkOnlyFile(t, name, "three")
}

// without returns a system without hard links and without a sync of directories.
func without(linkErr, syncErr error) system {
	return system{
		link:    func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: linkErr} },
		syncDir: func(dir string) error { return &fs.PathError{Op: "sync", Path: dir, Err: syncErr} },
	}
}

// Create and Replace also work without hard links, and without a sync of directories.
func TestOtherFileSystems(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the error codes are those of Unix")
	}
	for _, code := range []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.EMLINK, syscall.ENOSYS} {
		name := filepath.Join(t.TempDir(), "file")
		sys := without(code, syscall.EINVAL)
		end := func(content string, end func(*File) error) error {
			f, err := sys.newFile(filepath.Dir(name), name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(content)); err != nil {
				t.Fatal(err)
			}
			return end(f)
		}
		if err := end("one", (*File).Create); err != nil {
			t.Errorf("%v: create: %v", code, err)
		}
		checkOnlyFile(t, name, "one")
		if err := end("two", (*File).Create); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v: a second create: %v", code, err)
		}
		checkOnlyFile(t, name, "one")
		if err := end("three", (*File).Replace); err != nil {
			t.Errorf("%v: replace: %v", code, err)
		}
		checkOnlyFile(t, name, "three")
	}
	for _, code := range []syscall.Errno{syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		dir := filepath.Join(t.TempDir(), "a", "b")
		if err := makeDir(dir, without(nil, code).syncDir); err != nil {
			t.Errorf("a directory whose parent returns %v: %v", code, err)
		}
	}
	// Errors of the disk are returned.
	name := filepath.Join(t.TempDir(), "file")
	f, err := without(syscall.EIO, nil).newFile(filepath.Dir(name), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Create(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failed link: %v", err)
	}
	f, err = without(nil, syscall.EIO).newFile(filepath.Dir(name), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(); !errors.Is(err, ErrUnsynced) || !errors.Is(err, syscall.EIO) {
		t.Errorf("a failed sync: %v", err)
	}
}

// If many processes create a file at the same time, exactly one succeeds, and its content is
// complete.
func TestCreateRaced(t *testing.T) {
	t.Run("with hard links", func(t *testing.T) { createRaced(t, thisSystem) })
	if runtime.GOOS != "windows" {
		t.Run("without hard links", func(t *testing.T) { createRaced(t, without(syscall.EPERM, syscall.EINVAL)) })
	}
}

func createRaced(t *testing.T, sys system) {
	for range 20 {
		name := filepath.Join(t.TempDir(), "file")
		const n = 16
		won := make([]bool, n)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range n {
			wg.Go(func() {
				<-start
				f, err := sys.newFile(filepath.Dir(name), name)
				if err == nil {
					f.Write([]byte{byte('a' + i)})
					err = f.Create()
				}
				if won[i] = err == nil; err != nil && !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("winners: %v", won)
		}
		checkOnlyFile(t, name, string(rune('a'+winner)))
	}
}

// If there is a directory with the name, the call fails, and no temporary file stays.
func TestReplaceFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(name, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(name, nil); err == nil || errors.Is(err, ErrUnsynced) {
		t.Errorf("replaced a directory: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("the directory contains %v, %v", entries, err)
	}
}
