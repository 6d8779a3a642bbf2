// Package durable creates directories and files that survive a power failure once the
// call that made them has returned. A file appears under its name complete or not at all.
//
// Where the file system does not sync directories, [NoSync], whether the names survive
// depends on how it is mounted. That is no error here.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrUnsynced means that a file is complete and has its name, but that its directory
// could not be synced: a power failure may remove the name again.
var ErrUnsynced = errors.New("the directory could not be synced")

// MakeDir creates dir and the directories missing above it, mode 0700, and makes their
// names durable. If dir exists MakeDir syncs the directory above it as well, because
// the process that created dir may have been killed before it did so; an error of that
// sync is ignored, because an old directory may lie in one that this user cannot read.
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

// A File is a new file, mode 0600, that has a temporary name, in the directory of its
// final name unless [NewFileIn] made it. It ends with one call of [File.Create],
// [File.Replace], [File.Overwrite] or [File.Abort].
type File struct {
	temp *os.File // nil once it ended
	name string
	sys  system
}

// A system has the calls that not every file system supports. Tests have their own.
type system struct {
	link    func(from, to string) error
	syncDir func(dir string) error
}

var thisSystem = system{os.Link, SyncDir}

// NewFile creates a temporary file for name. The directory of name must exist.
func NewFile(name string) (*File, error) {
	return NewFileIn(filepath.Dir(name), name)
}

// NewFileIn creates a temporary file in dir whose content [File.Overwrite] will write into
// the file called name.
func NewFileIn(dir, name string) (*File, error) { return thisSystem.newFile(dir, name) }

func (sys system) newFile(dir, name string) (*File, error) {
	temp, err := os.CreateTemp(dir, TempPattern(filepath.Base(name))) // 0600
	if err != nil {
		return nil, err
	}
	return &File{temp, name, sys}, nil
}

// TempPattern matches the temporary names of a file in its directory, as
// [filepath.Match] has it. A killed process leaves a file with such a name behind.
func TempPattern(base string) string { return "." + base + ".*.tmp" }

// Write appends p to the temporary file.
func (f *File) Write(p []byte) (int, error) {
	if f.temp == nil {
		return 0, fs.ErrClosed
	}
	return f.temp.Write(p)
}

// Create gives the file its name, durably. If the name is taken Create changes nothing
// and returns an error that wraps [fs.ErrExist]. After [ErrUnsynced] the file has its
// name, after any other error there is no new file.
//
// Where there are no hard links, Create takes the name with an empty file, which the file
// then replaces. If the process is killed in between, the empty file stays.
func (f *File) Create() error {
	return f.publish(func(from, to string) error {
		if err := f.sys.link(from, to); !noLinks(err) {
			return err
		}
		return take(from, to)
	})
}

// take gives the file from the name to. Only one of several that take a name creates the
// empty file, and only that one replaces it.
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

// Replace gives the file its name, durably, in place of a file that may have it. After
// [ErrUnsynced] the file has its name, after any other error nothing has changed.
//
// No file can get the name of a mount point, such as a single file that is mounted into a
// container. There Replace does what [File.Overwrite] does.
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

// end passes the complete temporary file to move, and removes what is left of it.
func (f *File) end(move func(from, to string) error) error {
	if f.temp == nil {
		return fs.ErrClosed
	}
	defer f.Abort() // after a rename there is nothing left to remove
	if err := f.temp.Sync(); err != nil {
		return err
	}
	if err := f.temp.Close(); err != nil { // Windows renames no open file
		return err
	}
	return move(f.temp.Name(), f.name)
}

// Abort removes the temporary file. After any other end it does nothing.
func (f *File) Abort() {
	if f.temp != nil {
		f.temp.Close()
		os.Remove(f.temp.Name())
		f.temp = nil
	}
}

// Create is [File.Create] of a file that holds content.
func Create(name string, content []byte) error { return write(name, content, (*File).Create) }

// Replace is [File.Replace] of a file that holds content.
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
