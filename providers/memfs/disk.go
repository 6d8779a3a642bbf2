package memfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

// A disk makes the calls of a file store below its directory. Names are relative to
// it, with slashes; symbolic links are refused wherever they are met. Tests put
// their own disks in front of this one: one that is full, one that folds case, one
// that forgets what was not synced.
type disk interface {
	lstat(name string) (fs.FileInfo, error)
	open(name string, flag int) (file, error) // plain files only; new ones are 0600
	mkdir(name string) error                  // 0700
	link(from, to string) error
	rename(from, to string) error
	remove(name string) error                  // a file, or an empty directory
	chtime(name string, mtime time.Time) error // of a file
	list(dir string, each func(fs.DirEntry) error) error
	openDir(name string) (directory, error)
	close() error
}

// A directory is an open directory of a disk. It stays what it is when it is removed and
// another one gets its name.
type directory interface {
	lstat(base string) (fs.FileInfo, error) // of a name in it, or of itself: "."
	sync() error                            // makes its entries durable
	close() error
}

// A file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Sync() error
	// lock takes a flock on the file, for as long as it is open, or returns errBusy.
	lock(exclusive bool) error
}

// A rootDisk is the disk itself. [os.Root] keeps every call inside the directory;
// it would follow symbolic links that stay inside, so it is asked about each name
// before. Only the owner of the directory could put a link there in between.
type rootDisk struct {
	root *os.Root
}

// rootFile is *os.File; see the lock of each system.
type rootFile struct{ *os.File }

func (d *rootDisk) abs(name string) string {
	return filepath.Join(d.root.Name(), filepath.FromSlash(name))
}

// plainDirs returns an error if dir, or a directory above it, is not a real one.
func (d *rootDisk) plainDirs(dir string) error {
	if dir == "." {
		return nil
	}
	if err := d.plainDirs(path.Dir(dir)); err != nil {
		return err
	}
	fi, err := d.root.Lstat(dir)
	switch {
	case err != nil:
		return err
	case fi.IsDir():
		return nil
	case fi.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: d.abs(dir), Err: errNotDir}
	}
	return d.odd(dir, fi)
}

// odd is the error for what is neither a file nor a directory.
func (d *rootDisk) odd(name string, fi fs.FileInfo) error {
	what := "neither a file nor a directory"
	if fi.Mode().Type() == fs.ModeSymlink {
		what = "a symbolic link, and a store follows none"
	}
	return fmt.Errorf("%w: %s is %s: remove it", vault.ErrPermission, d.abs(name), what)
}

func (d *rootDisk) lstat(name string) (fs.FileInfo, error) {
	if err := d.plainDirs(path.Dir(name)); err != nil {
		return nil, err
	}
	fi, err := d.root.Lstat(name)
	if err == nil && !fi.IsDir() && !fi.Mode().IsRegular() {
		return nil, d.odd(name, fi)
	}
	return fi, err
}

func (d *rootDisk) open(name string, flag int) (file, error) {
	fi, err := d.lstat(name)
	switch {
	case err == nil && fi.IsDir():
		return nil, &fs.PathError{Op: "open", Path: d.abs(name), Err: errIsDir}
	case err != nil && (flag&os.O_CREATE == 0 || !isAbsent(err)):
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag|openFlags, 0o600)
	if err != nil {
		return nil, err
	}
	return rootFile{f}, nil
}

func (d *rootDisk) mkdir(name string) error {
	if err := d.plainDirs(path.Dir(name)); err != nil {
		return err
	}
	return d.root.Mkdir(name, 0o700)
}

func (d *rootDisk) link(from, to string) error {
	if err := d.plainDirs(path.Dir(to)); err != nil {
		return err
	}
	return d.root.Link(from, to)
}

func (d *rootDisk) rename(from, to string) error {
	if err := d.plainDirs(path.Dir(to)); err != nil {
		return err
	}
	return d.root.Rename(from, to)
}

func (d *rootDisk) remove(name string) error {
	if err := d.plainDirs(path.Dir(name)); err != nil {
		return err
	}
	return d.root.Remove(name)
}

func (d *rootDisk) chtime(name string, mtime time.Time) error {
	return d.root.Chtimes(name, mtime, mtime)
}

func (d *rootDisk) list(dir string, each func(fs.DirEntry) error) error {
	if err := d.plainDirs(dir); err != nil {
		return err
	}
	opened, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	defer opened.Close()
	f, err := listable(opened)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256) // a part at a time: directories may be large
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *rootDisk) openDir(name string) (directory, error) {
	if err := d.plainDirs(name); err != nil {
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return rootDir{root}, nil
}

func (d *rootDisk) close() error { return d.root.Close() }

type rootDir struct{ *os.Root }

func (d rootDir) lstat(base string) (fs.FileInfo, error) { return d.Lstat(base) }

func (d rootDir) sync() error {
	f, err := d.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.SyncOpenDir(f)
}

func (d rootDir) close() error { return d.Close() }
