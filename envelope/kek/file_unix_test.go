//go:build unix

package kek_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		t.Errorf("a link to a file that other users may read: %v", err)
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
		t.Skip("only root can change the owner of a file")
	}
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte(someRoot), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Skip(err)
	}
	_, err := kek.OpenFile(path)
	if want := "unusable root key file: " + path + " belongs to user 12345, but vault runs as user 0: use a file that belongs to you"; !errors.Is(err, kek.ErrKeyFile) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A supervisor mounts a key file with an owner and a mode that OpenFile refuses.
func TestOpenMounted(t *testing.T) {
	for _, tc := range []struct {
		owner int // -1: this user
		mode  fs.FileMode
		text  string
		want  string // empty: it is accepted
	}{
		{-1, 0o600, someRoot, ""},
		{-1, 0o440, someRoot, ""},
		{-1, 0o400, "000102030405060708090A0B0C0D0E0F 101112131415161718191A1B1C1D1E1F", ""},
		{-1, 0o660, someRoot, "other users can change"},
		{-1, 0o602, someRoot, "other users can change"},
		{-1, 0o600, someRoot[:60], "it has 60 digits instead of 64"},
		{12345, 0o440, someRoot, "belongs to user 12345"},
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		if tc.owner >= 0 {
			if os.Geteuid() != 0 || os.Chown(path, tc.owner, tc.owner) != nil {
				continue // only root can change the owner of a file
			}
		}
		l, err := kek.OpenMounted(path)
		switch {
		case tc.want == "" && (err != nil || l.Fingerprint() != "5702411fe3f18693"):
			t.Errorf("mode %o: %v", tc.mode, err)
		case tc.want != "" && (!errors.Is(err, kek.ErrKeyFile) || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("mode %o, owner %d: %v, want %s", tc.mode, tc.owner, err, tc.want)
		}
	}
}

// The test runs itself as another user, as a process in a container does: a file of root is accepted
// with the modes that Kubernetes and Docker use, and a readable file of the user itself is not.
func TestOpenMountedAsAnotherUser(t *testing.T) {
	const variable = "OBJECTVAULT_TEST_MOUNTED"
	if path := os.Getenv(variable); path != "" {
		l, err := kek.OpenMounted(path)
		if err != nil {
			fmt.Print(err)
		} else {
			fmt.Print(l.Fingerprint())
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can run a program as another user")
	}
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	const user = 12345
	for _, tc := range []struct {
		owner, group int
		mode         fs.FileMode
		want         string
	}{
		{0, user, 0o440, "5702411fe3f18693"}, // Kubernetes with fsGroup
		{0, 0, 0o444, "5702411fe3f18693"},    // Docker
		{0, 0, 0o644, "5702411fe3f18693"},    // Kubernetes by default
		{user, user, 0o440, "5702411fe3f18693"},
		{user, user, 0o644, "other users can access"},
		{0, user, 0o660, "other users can change"},
		{0, 0, 0o400, "permission denied"},
		{54321, user, 0o640, "belongs to user 54321"},
	} {
		path := filepath.Join(dir, "root.key")
		os.Remove(path)
		if err := os.WriteFile(path, []byte(someRoot), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chown(path, tc.owner, tc.group), os.Chmod(path, tc.mode)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "-test.run=^TestOpenMountedAsAnotherUser$")
		cmd.Env = append(os.Environ(), variable+"="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), tc.want) {
			t.Errorf("owner %d:%d, mode %o: %s, %v, want %s", tc.owner, tc.group, tc.mode, out, err, tc.want)
		}
	}
}
