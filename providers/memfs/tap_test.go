package memfs

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"

	"github.com/objectvault/objectvault/vault"
)

// A call is a call of a file store on its disk.
type call struct {
	op       string // a method of disk, or write, fsync or flock of a file
	name, to string
	flag     int       // of open
	mtime    time.Time // of chtime
	data     []byte    // of write
	at       *int64    // of a write at an offset
	tap      *tap      // the disk of chtime
	file     *tapFile  // the file of write, fsync and flock; after open, the opened file
	dir      *tapDir   // of sync and opendir
}

// A tap is a disk on which do decides the result of each call; real executes it.
type tap struct {
	disk
	do func(c *call, real func() error) error
}

func (t *tap) lstat(name string) (fi fs.FileInfo, err error) {
	return fi, t.do(&call{op: "lstat", name: name}, func() error { fi, err = t.disk.lstat(name); return err })
}

func (t *tap) open(name string, flag int) (file, error) {
	c := &call{op: "open", name: name, flag: flag, file: &tapFile{tap: t, name: name}}
	err := t.do(c, func() (err error) { c.file.file, err = t.disk.open(name, flag); return err })
	if err != nil {
		if c.file.file != nil {
			c.file.file.Close()
		}
		return nil, err
	}
	return c.file, nil
}

func (t *tap) mkdir(name string) error {
	return t.do(&call{op: "mkdir", name: name}, func() error { return t.disk.mkdir(name) })
}

func (t *tap) link(from, to string) error {
	return t.do(&call{op: "link", name: from, to: to}, func() error { return t.disk.link(from, to) })
}

func (t *tap) rename(from, to string) error {
	return t.do(&call{op: "rename", name: from, to: to}, func() error { return t.disk.rename(from, to) })
}

func (t *tap) remove(name string) error {
	return t.do(&call{op: "remove", name: name}, func() error { return t.disk.remove(name) })
}

func (t *tap) chtime(name string, mtime time.Time) error {
	return t.do(&call{op: "chtime", name: name, mtime: mtime, tap: t}, func() error { return t.disk.chtime(name, mtime) })
}

func (t *tap) openDir(name string) (directory, error) {
	d := &tapDir{tap: t, name: name}
	err := t.do(&call{op: "opendir", name: name, dir: d}, func() (err error) { d.directory, err = t.disk.openDir(name); return err })
	if err != nil {
		if d.directory != nil {
			d.directory.close()
		}
		return nil, err
	}
	return d, nil
}

func (t *tap) list(dir string, each func(fs.DirEntry) error) error {
	return t.do(&call{op: "list", name: dir}, func() error { return t.disk.list(dir, each) })
}

// A tapDir is an open directory of a tap.
type tapDir struct {
	directory
	tap  *tap
	name string
	node *node // see power_test.go
}

func (d *tapDir) lstat(base string) (fi fs.FileInfo, err error) {
	return fi, d.tap.do(&call{op: "lstat", name: path.Join(d.name, base)}, func() error { fi, err = d.directory.lstat(base); return err })
}

func (d *tapDir) sync() error {
	return d.tap.do(&call{op: "sync", name: d.name, dir: d}, d.directory.sync)
}

// A tapFile is a file of a tap.
type tapFile struct {
	file
	tap  *tap
	name string
	node *node // see power_test.go
}

func (f *tapFile) Write(p []byte) (n int, err error) {
	return n, f.tap.do(&call{op: "write", name: f.name, data: p, file: f}, func() error { n, err = f.file.Write(p); return err })
}

func (f *tapFile) WriteAt(p []byte, offset int64) (n int, err error) {
	c := &call{op: "write", name: f.name, data: p, at: &offset, file: f}
	return n, f.tap.do(c, func() error { n, err = f.file.WriteAt(p, offset); return err })
}

// copyRange is a write of the copied bytes.
func (f *tapFile) copyRange(from file, offset, n int64) error {
	data := make([]byte, n)
	if _, err := from.ReadAt(data, offset); err != nil && err != io.EOF {
		return err
	}
	return f.tap.do(&call{op: "write", name: f.name, data: data, file: f}, func() error { return f.file.copyRange(from.(*tapFile).file, offset, n) })
}

func (f *tapFile) Sync() error {
	return f.tap.do(&call{op: "fsync", name: f.name, file: f}, f.file.Sync)
}

func (f *tapFile) lock(exclusive bool) error {
	return f.tap.do(&call{op: "flock", name: f.name, file: f}, func() error { return f.file.lock(exclusive) })
}

// newDir returns a directory for a store.
func newDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// quickDir is newDir, in memory where the system has a place for that: the models
// make thousands of files, and sync none of them.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "memfs")
	if err != nil {
		return newDir(t)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// openTapped opens a store in c.Dir whose calls go through do.
func openTapped(t testing.TB, c Config, do func(c *call, real func() error) error) (*vault.Store, error) {
	t.Helper()
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newFiles(context.Background(), &tap{&rootDisk{root}, do}, c)
	if err != nil {
		return nil, err
	}
	return newStore("file://"+c.Dir, s, c), nil
}

// plain returns the value without attributes.
const plain = "plain"

// writtenInParts is a value without attributes that is written with WriteParts.
const writtenInParts = "written in parts"

// withItself returns options whose attributes contain the value.
func withItself(value string) *blob.WriterOptions {
	if value == plain || value == writtenInParts {
		return &blob.WriterOptions{ContentType: octetStream}
	}
	return &blob.WriterOptions{ContentType: octetStream, Metadata: map[string]string{"value": value}}
}

// coarse truncates the time that a chtime has just set to whole seconds.
func (c *call) coarse() error { return c.tap.disk.chtime(c.name, c.mtime.Truncate(time.Second)) }

func listOf(prefix string) *driver.ListOptions { return &driver.ListOptions{Prefix: prefix} }
