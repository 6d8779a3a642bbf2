package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mountFile mounts the file source at name.
func mountFile(t *testing.T, source, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(source, name, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("a file cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(name, 0) })
}

// aloneIn checks that name is the only file in dir and has the given content.
func aloneIn(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s has %d bytes, %v, want %d", name, len(got), err, len(content))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%s contains %v, %v", dir, entries, err)
	}
}

// TestGetIntoMount: a file that is itself a mount, as in containers, is overwritten in place after the
// whole value was verified.
func TestGetIntoMount(t *testing.T) {
	h := newHome(t)
	long := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	h.run(strings.NewReader("short"), 0, "put", "short", "-q")
	h.run(bytes.NewReader(long), 0, "put", "long", "-q")
	h.run(bytes.NewReader(long), 0, "put", "bad", "-q")
	object := filepath.Join(h.dir, ".local/share/objectvault/store/bots/default/credentials/bad.enc")
	if err := os.Truncate(object, 2<<20); err != nil {
		t.Fatal(err)
	}
	source, dir := filepath.Join(h.dir, "source"), filepath.Join(h.dir, "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, []byte("old content"), 0o644); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "file")
	mountFile(t, source, target)
	for _, tc := range []struct {
		name    string
		code    int
		content []byte
	}{
		{"bad", 15, []byte("old content")},
		{"none", 10, []byte("old content")},
		{"long", 0, long}, {"short", 0, []byte("short")}, {"long", 0, long},
		{"bad", 15, long},
	} {
		_, errs := h.run(nil, tc.code, "get", tc.name, "-o", target)
		if strings.Contains(errs, ".tmp") {
			t.Errorf("get %s names a temporary file: %s", tc.name, errs)
		}
		aloneIn(t, dir, "file", tc.content)
	}
	if info, err := os.Stat(source); err != nil || info.Mode().Perm() != 0o600 || info.Size() != int64(len(long)) {
		t.Errorf("the mounted file: %v, %v", info, err)
	}

	// In a container with a read-only disk, no temporary file can be created beside the target.
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	h.run(nil, 0, "get", "short", "-o", target)
	aloneIn(t, dir, "file", []byte("short"))
	h.run(nil, 15, "get", "bad", "-o", target)
	aloneIn(t, dir, "file", []byte("short"))
	_, errs := h.run(nil, 1, "get", "short", "-o", filepath.Join(dir, "other"))
	if !strings.Contains(errs, "other: read-only file system") {
		t.Errorf("stderr: %s", errs)
	}
	if left, err := filepath.Glob(filepath.Join(h.dir, "*.tmp")); err != nil || left != nil {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestGetIntoFullMount: if the value does not fit, the previous content stays.
func TestGetIntoFullMount(t *testing.T) {
	h := newHome(t)
	h.run(bytes.NewReader(make([]byte, 4<<20)), 0, "put", "big", "-q")
	disk, dir := smallDisk(t), filepath.Join(h.dir, "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	source, old := filepath.Join(disk, "source"), []byte("old content")
	if err := os.WriteFile(source, old, 0o600); err != nil {
		t.Fatal(err)
	}
	mountFile(t, source, filepath.Join(dir, "file"))
	_, errs := h.run(nil, 1, "get", "big", "-o", filepath.Join(dir, "file"))
	if !strings.Contains(errs, "file: no space left on device\n") {
		t.Errorf("stderr: %s", errs)
	}
	aloneIn(t, dir, "file", old)
}

// TestGetIntoForeignLink: a symbolic link that another user created is not followed.
func TestGetIntoForeignLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	h := newHome(t)
	h.run(strings.NewReader("value"), 0, "put", "a", "-q")
	target, link := filepath.Join(h.dir, "target"), filepath.Join(h.dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	_, errs := h.run(nil, 1, "get", "a", "-o", link)
	if !strings.Contains(errs, "link: it is a symbolic link owned by another user\n") {
		t.Errorf("stderr: %s", errs)
	}
	if got, err := os.ReadFile(target); string(got) != "old" || err != nil {
		t.Errorf("the target contains %q, %v", got, err)
	}
}

// TestReadOnlyStore: a store that is mounted read-only and lacks its empty directories can be read.
func TestReadOnlyStore(t *testing.T) {
	h := newHome(t)
	for _, value := range []string{"one", "two"} {
		h.run(strings.NewReader(value), 0, "put", "a", "-q", "--store", "file://"+h.dir+"/store")
	}
	for _, empty := range []string{"tmp", "lock"} {
		if err := os.RemoveAll(filepath.Join(h.dir, "store/.objectvault", empty)); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(h.dir, "mount")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(filepath.Join(h.dir, "store"), dir, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"get a", "two"}, {"get a --version @2", "one"}, {"ls", "a\n"}, {"exec --env A=a -- printenv A", "two\n"},
	} {
		if out, _ := h.run(nil, 0, append(strings.Fields("--store file://"+dir), strings.Fields(tc.args)...)...); out != tc.want {
			t.Errorf("%s wrote %q, want %q", tc.args, out, tc.want)
		}
	}
	h.run(nil, 0, "stat", "a", "--store", "file://"+dir)
	h.run(nil, 0, "history", "a", "--store", "file://"+dir)
	h.run(strings.NewReader("x"), 13, "put", "a", "--store", "file://"+dir)
	h.run(nil, 13, "rm", "a", "--store", "file://"+dir)
}
