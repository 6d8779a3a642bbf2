package main

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/user"
	"path/filepath"
	"syscall"

	"github.com/objectvault/objectvault/internal/durable"
)

func openFile(name string) (io.ReadCloser, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a directory")}
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

// walkFiles yields the files below the directory name, in the order of their names, or name itself if it is
// a file. The paths have slashes on every system. Links to files are followed, and those to directories only
// if name is one.
func walkFiles(name string, skip func(dir string) bool) iter.Seq2[string, error] {
	isRegular := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().IsRegular()
	}
	return func(yield func(string, error) bool) {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			yield("", err)
			return
		case !info.IsDir():
			yield(filepath.ToSlash(name), nil)
			return
		}
		root := name + string(filepath.Separator) // follows a link
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			slashed := filepath.ToSlash(path)
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != root && skip(slashed):
				return fs.SkipDir
			case d.IsDir(), !isRegular(path):
				return nil
			case !yield(slashed, nil):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", err)
		}
	}
}

// isRegular reports whether w is a regular file.
func isRegular(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// sizeLeft returns how many bytes of a regular file are left to read. It returns 0 for any other
// file.
func sizeLeft(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, info.Size()-at)
}

// userHome returns the home directory of this user in the user database. It returns "" if the
// directory does not exist, as for many service users.
func userHome() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	if info, err := os.Stat(u.HomeDir); err != nil || !info.IsDir() {
		return ""
	}
	return u.HomeDir
}

func canSync(dir string) bool { return !durable.NoSync(durable.SyncDir(dir)) }

// noDir reports whether there is no directory of this name.
func noDir(name string) bool {
	info, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir()
}

// isAddressInUse reports whether another process listens on an address.
func isAddressInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// writeNew creates a file, and its directory if it is missing. It replaces no file.
func writeNew(name string, text []byte) error {
	if err := durable.MakeDir(filepath.Dir(name)); err != nil {
		return err
	}
	return durable.Create(name, text)
}
