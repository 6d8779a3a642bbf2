package memfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/vault"
)

// needsSpace reports whether a call can fail because the disk is full or read-only.
func needsSpace(c *call) bool {
	return slices.Contains([]string{"write", "fsync", "mkdir", "link", "rename", "chtime", "sync"}, c.op) ||
		c.op == "open" && c.flag&os.O_CREATE != 0
}

// TestFullDisk makes each call of each write fail in turn, with each error of a full disk: the
// write returns the right sentinel and nothing has changed, or the write was complete.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const key = "bots/t/openai.enc"
	for _, code := range []struct {
		errno    syscall.Errno
		sentinel error
		code     gcerrors.ErrorCode
	}{
		{syscall.ENOSPC, vault.ErrNoSpace, gcerrors.ResourceExhausted},
		{syscall.EDQUOT, vault.ErrNoSpace, gcerrors.ResourceExhausted},
		{syscall.EROFS, vault.ErrPermission, gcerrors.PermissionDenied},
		{syscall.EACCES, vault.ErrPermission, gcerrors.PermissionDenied},
		{syscall.EIO, nil, gcerrors.Unknown},
	} {
		for name, deed := range map[string]func(s *vault.Store) error{
			"create":    func(s *vault.Store) error { return write(s, "bots/new/name.enc", "new") },
			"overwrite": func(s *vault.Store) error { return write(s, key, "new") },
			"in parts":  func(s *vault.Store) error { _, err := s.Put.Put(ctx, key, inParts([]byte("new"))); return err },
			"delete":    func(s *vault.Store) error { return s.Bucket.Delete(ctx, key) },
			"swap": func(s *vault.Store) error {
				r, err := s.Bucket.NewReader(ctx, key, nil)
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = s.Swap.Swap(ctx, key, s.Tag(r), func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err })
				return err
			},
		} {
			t.Run(fmt.Sprint(name, " ", code.errno), func(t *testing.T) {
				failed := map[string]bool{}
				for n := 0; ; n++ {
					dir := quickDir(t)
					count, on := 0, false
					var at string
					s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
						if on && needsSpace(c) {
							if count++; count == n+1 {
								at = c.describe()
								return &fs.PathError{Op: c.op, Path: c.name, Err: code.errno}
							}
						}
						return withoutSyncs(c, real)
					})
					if err != nil {
						t.Fatal(err)
					}
					for _, err := range []error{write(s, key, "one"), write(s, key, "two"), put(s, "other", "x")} {
						if err != nil {
							t.Fatal(err)
						}
					}
					before := snapshot(t, dir)
					on = true
					err = deed(s)
					on = false
					if at == "" {
						if err != nil {
							t.Fatalf("without a fault: %v", err)
						}
						s.Close()
						break
					}
					failed[at] = true
					if !errors.Is(err, code.errno) || errors.Is(err, vault.ErrUnsure) || s.Explain(err) != code.sentinel ||
						name != "swap" && name != "in parts" && gcerrors.Code(err) != code.code {
						t.Errorf("%s failed, and the write returned %v, explained %v, code %v", at, err, s.Explain(err), gcerrors.Code(err))
					}
					if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
						t.Errorf("%s failed, but files have changed:\n%s", at, diff)
					}
					if err := deed(s); err != nil {
						t.Errorf("%s failed, and the write with enough space returned: %v", at, err)
					}
					s.Close()
					os.RemoveAll(dir)
				}
				if len(failed) < 6 {
					t.Errorf("only these calls were made to fail: %v", failed)
				}
			})
		}
	}
}

// TestUnsure: the last sync of a write fails, and so does undoing the write. The outcome is unknown, and
// the error is ErrUnsure.
func TestUnsure(t *testing.T) {
	for _, full := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		dir := newDir(t)
		on, seen := false, false
		s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
			if on && c.op == "sync" && c.name == "a" {
				seen = true
				return full
			}
			if seen && (c.op == "rename" || c.op == "remove") {
				return syscall.EIO
			}
			return real()
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := put(s, "a/key", "old"); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]func() error{
			"put":    func() error { return put(s, "a/key", "new") },
			"create": func() error { return put(s, "a/new", "new") },
			"delete": func() error { return s.Bucket.Delete(t.Context(), "a/key") },
		} {
			on, seen = true, false
			err := err()
			on, seen = false, false
			if !errors.Is(err, vault.ErrUnsure) || errors.Is(err, vault.ErrNoSpace) || s.Explain(err) != vault.ErrUnsure {
				t.Errorf("%s: %v, explained %v", name, err, s.Explain(err))
			}
		}
		s.Close()
	}
}

// TestMissingFeatures opens stores on file systems without a required feature.
func TestMissingFeatures(t *testing.T) {
	made := newDir(t)
	openDir(t, made)
	for _, tc := range []struct {
		name string
		dir  string
		do   func(c *call, real func() error) error
		text string
	}{
		{"new store without flock", newDir(t), func(c *call, real func() error) error {
			if c.op == "flock" {
				return syscall.ENOLCK
			}
			return real()
		}, "the file system does not support flock, which the store needs: use another file system"},
		{"existing store without flock", made, func(c *call, real func() error) error {
			if c.op == "flock" {
				return syscall.ENOSYS
			}
			return real()
		}, "the file system does not support flock"},
		{"no hard links", newDir(t), func(c *call, real func() error) error {
			if c.op == "link" {
				return &os.LinkError{Op: "link", Old: c.name, New: c.to, Err: syscall.EPERM}
			}
			return real()
		}, "the file system does not support hard links, which the store needs: use another file system"},
	} {
		_, err := openTapped(t, Config{Dir: tc.dir}, tc.do)
		if err == nil || explain(err) != vault.ErrUnsupported || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v\nwant ... %s", tc.name, err, tc.text)
		}
	}
	s, err := openTapped(t, Config{Dir: newDir(t)}, func(c *call, real func() error) error {
		if err := real(); err != nil || c.op != "chtime" {
			return err
		}
		return c.coarse()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(s, "key", "x"); explain(err) != vault.ErrUnsupported || !strings.Contains(err.Error(), "a store needs a resolution of microseconds") {
		t.Errorf("coarse times: %v", err)
	}
	if _, err := s.Bucket.ReadAll(t.Context(), "key"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("coarse times: the object exists: %v", err)
	}
}

// TestSwept removes a temporary file before it is locked, like the sweep of another process:
// the write creates another one.
func TestSwept(t *testing.T) {
	for _, how := range []string{"removed before the lock", "locked by the sweeper"} {
		dir := newDir(t)
		done := false
		s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
			if c.op != "flock" || path.Dir(c.name) != tmpDir || done {
				return real()
			}
			done = true
			at := filepath.Join(dir, c.name)
			if how == "removed before the lock" {
				if err := os.Remove(at); err != nil {
					t.Error(err)
				}
				return real()
			}
			f, err := os.OpenFile(at, os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return err
			}
			defer f.Close()
			if err := (rootFile{f}).lock(true); err != nil {
				t.Error(err)
			}
			return real()
		})
		if err != nil {
			t.Fatal(err)
		}
		done = false
		if err := put(s, "key", "value"); err != nil || !done {
			t.Errorf("%s: %v, %v", how, err, done)
		}
		if b, err := s.Bucket.ReadAll(t.Context(), "key"); string(b) != "value" {
			t.Errorf("%s: read %q, %v", how, b, err)
		}
		if left := names(t, filepath.Join(dir, tmpDir)); len(left) > 0 {
			t.Errorf("%s: %v remain", how, left)
		}
		s.Close()
	}
}

// TestLocked writes while another process holds the lock: the write waits until its context
// ends or LockTimeout passes. A lock on a file that was replaced has no effect.
func TestLocked(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s, err := Open(t.Context(), Config{Dir: dir, LockTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const key = "bots/t/openai.enc"
	if err := put(s, key, "old"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, lockDir, "15")
	held, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	mustLock(t, held)
	before := snapshot(t, dir)
	for verb, err := range map[string]error{"put": put(s, key, "new"), "delete": s.Bucket.Delete(t.Context(), key)} {
		if !errors.Is(err, vault.ErrUnavailable) || !strings.Contains(err.Error(), "another process has locked "+name+" for more than 100ms: check whether that process is suspended or hangs") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	patient := openDir(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = patient.Create.Create(ctx, key, func(io.Writer) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("create: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files have changed:\n%s", diff)
	}
	if b, err := s.Bucket.ReadAll(t.Context(), key); string(b) != "old" {
		t.Errorf("a read without a lock: %q, %v", b, err)
	}
	// Writes of other keys continue, and this one continues when the lock is free.
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := put(patient, key, "new"); err != nil {
			t.Error(err)
		}
	})
	if err := put(s, "another", "x"); err != nil {
		t.Error(err)
	}
	held.Close()
	wg.Wait()
	// A lock on a removed file has no effect.
	again, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	mustLock(t, again)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := put(s, key, "newer"); err != nil {
		t.Error(err)
	}
}

// mustLock locks f. A process that another test starts has a copy of every open file, and so of the lock,
// until it executes its program.
func mustLock(t *testing.T, f *os.File) {
	t.Helper()
	err := rootFile{f}.lock(true)
	for end := time.Now().Add(time.Minute); err == errBusy && time.Now().Before(end); err = (rootFile{f}).lock(true) {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLockIsHeld: while a write renames, links or removes a file, no other process can get the lock.
func TestLockIsHeld(t *testing.T) {
	dir := newDir(t)
	var held *tapFile
	s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
		if c.op == "flock" && path.Dir(c.name) == lockDir {
			held = c.file
		}
		if c.op == "rename" || c.op == "link" && path.Dir(c.name) == tmpDir && c.to != formatFile || c.op == "remove" && c.name == "key" {
			// Another process tries to get the lock immediately before the change.
			f, err := os.OpenFile(filepath.Join(dir, held.name), os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return err
			}
			defer f.Close()
			if err := (rootFile{f}).lock(true); err != errBusy {
				t.Errorf("%s: the lock is free: %v", c.describe(), err)
			}
		}
		return real()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := errors.Join(put(s, "key", "one"), put(s, "key", "two"), s.Bucket.Delete(t.Context(), "key")); err != nil {
		t.Error(err)
	}
}

// A folding disk ignores case, like the disk of a Mac.
type folding struct{ disk }

// spelling returns name as it is spelled in the directory.
func (d folding) spelling(name string) string {
	if name == "." {
		return name
	}
	dir, base := d.spelling(path.Dir(name)), path.Base(name)
	d.disk.list(dir, func(e fs.DirEntry) error {
		if strings.EqualFold(e.Name(), base) {
			base = e.Name()
		}
		return nil
	})
	return path.Join(dir, base)
}

func (d folding) lstat(name string) (fs.FileInfo, error) { return d.disk.lstat(d.spelling(name)) }
func (d folding) open(name string, flag int) (file, error) {
	return d.disk.open(d.spelling(name), flag)
}
func (d folding) mkdir(name string) error    { return d.disk.mkdir(d.spelling(name)) }
func (d folding) link(from, to string) error { return d.disk.link(d.spelling(from), d.spelling(to)) }
func (d folding) rename(from, to string) error {
	return d.disk.rename(d.spelling(from), d.spelling(to))
}
func (d folding) remove(name string) error               { return d.disk.remove(d.spelling(name)) }
func (d folding) openDir(name string) (directory, error) { return d.disk.openDir(d.spelling(name)) }
func (d folding) list(dir string, f func(fs.DirEntry) error) error {
	return d.disk.list(d.spelling(dir), f)
}

// TestFoldingDisk puts keys that differ in case only: on a file system that folds case the
// second put is a conflict and stores nothing; elsewhere both are stored.
func TestFoldingDisk(t *testing.T) {
	ctx := t.Context()
	for _, folds := range []bool{false, true} {
		dir := newDir(t)
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		var d disk = &rootDisk{root}
		if folds {
			d = folding{d}
		}
		shelf, err := newFiles(ctx, d, Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if shelf.folds != folds {
			t.Errorf("folds is %v, want %v", shelf.folds, folds)
		}
		s := newStore("file://"+dir, shelf, Config{})
		if err := errors.Join(put(s, "bots/t/openai.enc", "first"), put(s, "bots/t/openai.enc", "lower")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"bots/t/OpenAI.enc", "bots/T/openai.enc", "Bots/t/other.enc"} {
			before := snapshot(t, dir)
			_, err := s.Bucket.ReadAll(ctx, key)
			if !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("folds %v: read %s: %v", folds, key, err)
			}
			if err := s.Bucket.Delete(ctx, key); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("folds %v: delete %s: %v", folds, key, err)
			}
			if got := contents(t, s, key); len(got) > 0 {
				t.Errorf("folds %v: %s has the history %v", folds, key, got)
			}
			_, createErr := s.Create.Create(ctx, key, func(io.Writer) error { return nil })
			putErr := put(s, key, "upper")
			for verb, err := range map[string]error{"create": createErr, "put": putErr} {
				switch {
				case !folds && err != nil:
					t.Errorf("%s %s: %v", verb, key, err)
				case folds && (!errors.Is(err, vault.ErrConflict) || errors.Is(err, vault.ErrExist) ||
					!strings.Contains(err.Error(), "the file system ignores case, and "+dir)):
					t.Errorf("folding: %s %s: %v", verb, key, err)
				}
			}
			if !folds {
				continue
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("%s: files have changed:\n%s", key, diff)
			}
		}
		if diff := cmp.Diff([]string{"lower", "first"}, contents(t, s, "bots/t/openai.enc")); diff != "" {
			t.Errorf("folds %v: history (-want +got):\n%s", folds, diff)
		}
		for _, prefix := range []string{"", "bots/t/"} {
			page, err := (&bucket{shelf}).ListPaged(ctx, listOf(prefix))
			if err != nil || len(page.Objects) < 1 || folds && len(page.Objects) != 1 {
				t.Errorf("folds %v: list %q: %v, %v", folds, prefix, page, err)
			}
		}
		if page, err := (&bucket{shelf}).ListPaged(ctx, listOf("bots/T/")); err != nil || folds && len(page.Objects) > 0 {
			t.Errorf("folds %v: list of the other spelling: %v, %v", folds, page, err)
		}
		s.Close()
	}
}

// TestBetweenCalls lets other processes act between two calls of a write.
func TestBetweenCalls(t *testing.T) {
	var dir string
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	isPublication := func(c *call) bool { return c.op == "link" && c.to == "a/b/key" }
	for _, tc := range []struct {
		name    string
		before  func(c *call) bool
		other   func() error // what the other process does
		create  error        // the error of a create
		history []string     // after a put
	}{
		{"directory removed before the object is linked", isPublication,
			func() error { return errors.Join(os.Remove(at("a/b")), os.Remove(at("a"))) }, nil, []string{"new"}},
		{"parent removed before the directory is created",
			func(c *call) bool { return c.op == "mkdir" && c.name == "a/b" && exists(at("a")) },
			func() error { return os.Remove(at("a")) }, nil, []string{"new"}},
		{"versions removed before the attributes are written",
			func(c *call) bool {
				return c.op == "open" && strings.HasSuffix(c.name, attrsSuffix) && c.flag&os.O_CREATE != 0
			},
			func() error { return os.Remove(at(versions + "/a/b/key")) }, nil, []string{"new"}},
		{"file created at the path of the object", isPublication,
			func() error { return os.WriteFile(at("a/b/key"), []byte("its"), 0o600) }, vault.ErrExist, []string{"new", "its"}},
		{"directory created at the path of the object", isPublication,
			func() error { return os.Mkdir(at("a/b/key"), 0o700) }, nil, []string{"new"}},
		{"lock file removed before it is locked",
			func(c *call) bool { return c.op == "flock" && path.Dir(c.name) == lockDir },
			func() error { return os.RemoveAll(at(lockDir + "/" + names(t, at(lockDir))[0])) }, nil, []string{"new"}},
	} {
		for _, create := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, create %v", tc.name, create), func(t *testing.T) {
				dir = newDir(t)
				acted, after := false, 0
				s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
					if tc.before(c) {
						if acted {
							after++
						} else {
							acted = true
							if err := tc.other(); err != nil {
								t.Error(err)
							}
						}
					}
					return real()
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				o := withItself("new")
				o.IfNotExist = create
				err = s.Bucket.WriteAll(t.Context(), "a/b/key", []byte("new"), o)
				if create && !errors.Is(err, tc.create) || !create && err != nil {
					t.Errorf("the write returned %v", err)
				}
				want := tc.history
				if create && tc.create != nil {
					want = []string{"its"}
				}
				if diff := cmp.Diff(want, contents(t, s, "a/b/key")); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				if !acted || after == 0 && len(want) == 1 && want[0] == "new" {
					t.Errorf("acted is %v, and %d calls followed", acted, after)
				}
			})
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// TestReplacedWhileRead replaces an object and removes its old version between opening the
// object and opening its attributes. The read does not return the object without attributes.
func TestReplacedWhileRead(t *testing.T) {
	dir := newDir(t)
	c := Config{Dir: dir, Versions: -1}
	other, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := write(other, "key", "old"); err != nil {
		t.Fatal(err)
	}
	acted := false
	s, err := openTapped(t, c, func(c *call, real func() error) error {
		if c.op == "open" && strings.HasSuffix(c.name, attrsSuffix) && !acted {
			acted = true
			if err := write(other, "key", "new"); err != nil {
				t.Error(err)
			}
		}
		return real()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	attrs, err := s.Bucket.Attributes(t.Context(), "key")
	if err != nil || !acted || attrs.Metadata["value"] != "new" {
		t.Errorf("the attributes are %v, %v", attrs.Metadata, err)
	}
}
