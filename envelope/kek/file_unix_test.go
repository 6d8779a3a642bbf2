//go:build unix

package kek_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/objectvault/objectvault/envelope/kek"
)

func TestOpenFileLinksAndPipes(t *testing.T) {
	dir := t.TempDir()
	target, link, pipe := filepath.Join(dir, "root.key"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(target, []byte(someRoot), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if l, err := kek.OpenFile(link); err != nil || l.Fingerprint() != "5702411fe3f18693" {
		t.Errorf("a link: %v", err)
	}
	if err := os.Chmod(target, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := kek.OpenFile(link); !errors.Is(err, kek.ErrKeyFile) {
		t.Errorf("a link to a file that others may read: %v", err)
	}
	// A dangling link occupies its name: nothing is created through it.
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink(filepath.Join(dir, "absent"), nowhere); err != nil {
		t.Fatal(err)
	}
	if _, created, err := kek.CreateFile(nowhere); created || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("create through a dangling link: created %v, %v", created, err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := kek.OpenFile(pipe); !errors.Is(err, kek.ErrKeyFile) {
		t.Errorf("a pipe: %v", err)
	}
}

func TestOpenFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte(someRoot), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Skip(err)
	}
	_, err := kek.OpenFile(path)
	if want := "unusable root key file: " + path + " belongs to user 12345, but this process runs as user 0: use a file that belongs to you"; !errors.Is(err, kek.ErrKeyFile) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
