//go:build unix

package federation_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/objectvault/objectvault/federation"
)

func TestCacheOfOthers(t *testing.T) {
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	path := filepath.Join(c.Dir, key)
	save(t, c, key, "one")
	load := func(what, want string) {
		t.Helper()
		l, err := c.Load(key)
		if !errors.Is(err, federation.ErrLoginFile) || err.Error() != "unusable login file: "+want || l.AccessKeyID != "" {
			t.Errorf("%s: %v\nwant %s", what, err, want)
		}
	}
	chmod := func(path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for mode, text := range map[fs.FileMode]string{0o640: "0640", 0o604: "0604", 0o620: "0620", 0o601: "0601"} {
		chmod(path, mode)
		load(text, "other users can access "+path+" (mode "+text+"): run chmod 600 "+path)
	}
	chmod(path, 0o600)
	chmod(c.Dir, 0o755)
	want := "other users can access " + c.Dir + " (mode 0755): run chmod 700 " + c.Dir
	load("the directory", want)
	if err := c.Save(key, someLogin("two")); !errors.Is(err, federation.ErrLoginFile) || err.Error() != "unusable login file: "+want {
		t.Errorf("save: %v", err)
	}
	chmod(c.Dir, 0o700)
	if l, err := c.Load(key); err != nil || l.AccessKeyID != "one" {
		t.Errorf("%v, %v", l, err)
	}

	// Load rejects links and pipes, and does not wait for the writer of a pipe.
	elsewhere := filepath.Join(t.TempDir(), "login")
	if err := os.Rename(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	load("a link", path+" is a symbolic link: remove it, and log in again")
	save(t, c, key, "two") // replaces the link
	if l, err := c.Load(key); err != nil || l.AccessKeyID != "two" {
		t.Errorf("%v, %v", l, err)
	}
	if ok, err := c.Remove(key); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	load("a pipe", path+" is not a regular file: remove it, and log in again")
}

func TestCacheOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the owner of a file")
	}
	c, _ := newCache(t)
	key := federation.CacheKey("a")
	save(t, c, key, "one")
	for _, path := range []string{filepath.Join(c.Dir, key), c.Dir} {
		if err := os.Chown(path, 12345, 12345); err != nil {
			t.Skip(err)
		}
		_, err := c.Load(key)
		want := "unusable login file: " + path + " belongs to user 12345, but this process runs as user " + strconv.Itoa(os.Geteuid()) + ": use a file or directory that belongs to you"
		if !errors.Is(err, federation.ErrLoginFile) || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
