package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func openFile(name string) (io.ReadCloser, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// createFile starts a file of mode 0600. What is there already is replaced when it is
// committed; a device or a pipe is refused, since renaming over it would remove it.
func createFile(name string) (outFile, error) {
	f, err := newTemp(name)
	if err != nil {
		return nil, err // not a nil *tempFile in an interface
	}
	return f, nil
}

func newTemp(name string) (*tempFile, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.tmp")
	if err != nil {
		return nil, err
	}
	return &tempFile{File: f, name: name}, nil
}

type tempFile struct {
	*os.File
	name string
	done bool
}

func (f *tempFile) Commit() error {
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), f.name)
	}
	f.done = err == nil
	if err == nil {
		err = syncDir(filepath.Dir(f.name))
	}
	if f.done && errors.Is(err, fs.ErrPermission) {
		err = nil // a directory that may be written and not read: the file is there
	}
	return err
}

func (f *tempFile) Abort() {
	if !f.done {
		f.Close()
		os.Remove(f.Name())
	}
}

func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := newTemp(name)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil { // of several at once one wins
		return err
	}
	return syncDir(filepath.Dir(name))
}
