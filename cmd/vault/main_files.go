package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/objectvault/objectvault/internal/durable"
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

// createFile starts a file of mode 0600, which replaces an existing file when it is
// committed. A device or a pipe is refused, since renaming over it would remove it.
func createFile(name string) (outFile, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := durable.NewFile(name)
	if err != nil {
		return nil, err // not a nil *durable.File in an interface
	}
	return committed{f}, nil
}

type committed struct{ *durable.File }

func (f committed) Commit() error {
	err := f.Replace()
	if errors.Is(err, durable.ErrUnsynced) && errors.Is(err, fs.ErrPermission) {
		return nil // a directory that may be written and not read: the file is there
	}
	return err
}

// writeNew creates a file, and its directory if it is missing. It replaces no file.
func writeNew(name string, text []byte) error {
	if err := durable.MakeDir(filepath.Dir(name)); err != nil {
		return err
	}
	return durable.Create(name, text)
}
