// Package durable creates directories and files that survive a power failure once the call that
// created them has returned. A file appears under its name either complete or not at all.
//
// If the file system does not sync directories ([NoSync]), its mount options determine whether the
// names survive. This is not an error here.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrUnsynced means that a file is complete and has its name, but that its directory could not be
// synced. A power failure may remove the name.
var ErrUnsynced = errors.New("the directory could not be synced")

// MakeDir creates dir and its missing parents with mode 0700, and makes their names durable. If dir
// exists, MakeDir also syncs its parent, because the process that created dir may have been killed
// before it did so. An error of that sync is ignored, because this user may not be able to read the
// parent of an old directory.
func MakeDir(dir string) error { return makeDir(dir, SyncDir) }

func makeDir(dir string, sync func(dir string) error) error {
	required := func(dir string) error {
		if err := sync(dir); err != nil && !NoSync(err) {
			return err
		}
		return nil
	}
	parent := filepath.Dir(dir)
	_, err := os.Stat(dir)
	switch {
	case err == nil:
		sync(parent)
		return nil // if it is not a directory, using it fails
	case !errors.Is(err, fs.ErrNotExist) || parent == dir:
		return err
	}
	if err := makeDir(parent, sync); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return required(parent)
}

// SyncDir makes the names in dir durable. An error may be [NoSync].
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return SyncOpenDir(d)
}

// A File is a new file with mode 0600 and a temporary name. It is in the directory of its final
// name, unless [NewFileIn] created it. It ends with one call of [File.Create], [File.Replace],
// [File.Overwrite] or [File.Abort].
type File struct {
	temp *os.File // nil after the end
	name string
	sys  system
}

// A system contains the calls that not every file system supports. Tests replace them.
type system struct {
	link    func(from, to string) error
	syncDir func(dir string) error
}

var thisSystem = system{os.Link, SyncDir}

// NewFile creates a temporary file for name. The directory of name must exist.
func NewFile(name string) (*File, error) {
	return NewFileIn(filepath.Dir(name), name)
}

// NewFileIn creates a temporary file in dir. [File.Overwrite] writes its content into the file
// called name.
func NewFileIn(dir, name string) (*File, error) { return thisSystem.newFile(dir, name) }

func (sys system) newFile(dir, name string) (*File, error) {
	temp, err := os.CreateTemp(dir, TempPattern(filepath.Base(name))) // with mode 0600
	if err != nil {
		return nil, err
	}
	return &File{temp, name, sys}, nil
}

// TempPattern returns a pattern for [filepath.Match] that matches the temporary names of a file. A
// process that is killed leaves a file with such a name.
func TempPattern(base string) string { return "." + base + ".*.tmp" }

// Write appends p to the temporary file.
func (f *File) Write(p []byte) (int, error) {
	if f.temp == nil {
		return 0, fs.ErrClosed
	}
	return f.temp.Write(p)
}

// WriteAt writes p to the temporary file at an offset. Several goroutines may call it at a time.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	if f.temp == nil {
		return 0, fs.ErrClosed
	}
	return f.temp.WriteAt(p, offset)
}

// Create gives the file its name, durably. If the name exists, Create changes nothing and returns
// an error that wraps [fs.ErrExist]. After [ErrUnsynced] the file has its name. After any other
// error there is no new file.
//
// If the file system has no hard links, Create first creates an empty file with the name, and then
// replaces it. If the process is killed in between, the empty file stays.
func (f *File) Create() error {
	return f.publish(func(from, to string) error {
		if err := f.sys.link(from, to); !noLinks(err) {
			return err
		}
		return take(from, to)
	})
}

// take renames the file from to the name to, which must not exist. If several processes take a
// name, only one creates the empty file, and only this one replaces it.
func take(from, to string) error {
	empty, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	empty.Close()
	if err := os.Rename(from, to); err != nil {
		os.Remove(to)
		return err
	}
	return nil
}

// Replace gives the file its name, durably, and replaces an existing file. After [ErrUnsynced] the
// file has its name. After any other error nothing has changed.
//
// A mount point, such as a single file that is mounted into a container, cannot be replaced. There
// Replace does the same as [File.Overwrite].
func (f *File) Replace() error {
	return f.publish(func(from, to string) error {
		err := os.Rename(from, to)
		if errors.Is(err, syscall.EBUSY) {
			return overwrite(from, to)
		}
		return err
	})
}

func (f *File) publish(move func(from, to string) error) error {
	if err := f.end(move); err != nil {
		return err
	}
	if err := f.sys.syncDir(filepath.Dir(f.name)); err != nil && !NoSync(err) {
		return fmt.Errorf("%w: %w", ErrUnsynced, err)
	}
	return nil
}

// end passes the complete temporary file to move, and removes the temporary file if it remains.
func (f *File) end(move func(from, to string) error) error {
	if f.temp == nil {
		return fs.ErrClosed
	}
	defer f.Abort() // does nothing after a rename
	if err := f.temp.Sync(); err != nil {
		return err
	}
	if err := f.temp.Close(); err != nil { // Windows cannot rename an open file
		return err
	}
	return move(f.temp.Name(), f.name)
}

// Abort removes the temporary file. After the file has ended, it does nothing.
func (f *File) Abort() {
	if f.temp != nil {
		f.temp.Close()
		os.Remove(f.temp.Name())
		f.temp = nil
	}
}

// Create is [File.Create] for a file with the given content.
func Create(name string, content []byte) error { return write(name, content, (*File).Create) }

// Replace is [File.Replace] for a file with the given content.
func Replace(name string, content []byte) error { return write(name, content, (*File).Replace) }

func write(name string, content []byte, end func(*File) error) error {
	f, err := NewFile(name)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return end(f)
}
