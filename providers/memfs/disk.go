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
	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// A disk makes the system calls of a file store. Names are relative to the directory of the
// store, with slashes; symbolic links are rejected everywhere. Tests wrap the disk to simulate
// one that is full, that ignores case, or that loses data that was not synced.
type disk interface {
	lstat(name string) (fs.FileInfo, error)
	open(name string, flag int) (file, error) // regular files only; new ones have mode 0600
	mkdir(name string) error                  // 0700
	link(from, to string) error
	rename(from, to string) error
	remove(name string) error                  // a file, or an empty directory
	chtime(name string, mtime time.Time) error // of a file
	list(dir string, each func(fs.DirEntry) error) error
	openDir(name string) (directory, error)
	close() error
}

// A directory is an open directory of a disk. It refers to the same directory even after that
// was removed and another one has its name.
type directory interface {
	lstat(base string) (fs.FileInfo, error) // of a name in it, or of the directory itself: "."
	sync() error                            // makes its entries durable
	close() error
}

// A file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Sync() error
	// copyRange appends n bytes of another file, starting at offset. It moves the position of that
	// file. Linux copies within the file system, and shares the blocks if the file system can.
	copyRange(from file, offset, n int64) error
	// lock acquires a flock on the file until it is closed, or returns errBusy.
	lock(exclusive bool) error
}

// A rootDisk is the real disk. [os.Root] keeps every call inside the directory, but follows
// symbolic links that stay inside, so rootDisk checks each name first. Only the owner of the
// directory could create a link between check and call.
type rootDisk struct {
	root *os.Root
}

// rootFile is *os.File; its method lock depends on the system.
type rootFile struct{ *os.File }

func (f rootFile) lock(exclusive bool) error { return filelock.Try(f.File, exclusive) }

func (f rootFile) copyRange(from file, offset, n int64) error {
	other := from.(rootFile).File
	if _, err := other.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	// On Linux, ReadFrom calls copy_file_range(2), and copies through this process if the file system
	// does not support it.
	copied, err := f.File.ReadFrom(io.LimitReader(other, n))
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF // another program truncated the file
	}
	return err
}

func (d *rootDisk) abs(name string) string {
	return filepath.Join(d.root.Name(), filepath.FromSlash(name))
}

// plainDirs returns an error if dir, or a directory above it, is not a real directory.
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

// odd returns the error for a name that is neither a regular file nor a directory.
func (d *rootDisk) odd(name string, fi fs.FileInfo) error {
	what := "neither a file nor a directory"
	if fi.Mode().Type() == fs.ModeSymlink {
		what = "a symbolic link, which is not allowed in a store"
	}
	return &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.NotPlain, Message: fmt.Sprintf("%s is %s: remove it", d.abs(name), what)}
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
		entries, err := f.ReadDir(256) // in parts: directories may be large
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
