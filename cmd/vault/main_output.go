package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/internal/durable"
)

// createFile returns a new file with mode 0600, which replaces an existing file when it is
// committed. It follows a symbolic link only if no other user can have created the link. It
// refuses a device or a pipe, because a rename would replace it.
func createFile(name string) (outFile, error) {
	place, err := followLinks(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(place)
	exists := err == nil
	if exists && !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := durable.NewFile(place)
	if err == nil {
		return replacing{f}, nil
	}
	if !exists || !errors.Is(err, fs.ErrPermission) && !isReadOnlyDisk(err) {
		return nil, err // f would be a nil *durable.File in a non-nil interface
	}
	// No file can be created beside the existing file, for example if only this file is mounted
	// into a container with a read-only disk. The file can still be overwritten in place.
	if w, openErr := os.OpenFile(place, os.O_WRONLY, 0); openErr != nil {
		return nil, err
	} else {
		w.Close()
	}
	f, tempErr := durable.NewFileIn(os.TempDir(), place)
	if tempErr != nil {
		return nil, err
	}
	return overwriting{f}, nil
}

type replacing struct{ *durable.File }

func (f replacing) Commit() error {
	err := f.Replace()
	if errors.Is(err, durable.ErrUnsynced) && errors.Is(err, fs.ErrPermission) {
		return nil // the directory is writable but not readable, so it cannot be synced; the file was replaced
	}
	return err
}

type overwriting struct{ *durable.File }

func (f overwriting) Commit() error { return f.Overwrite() }

var (
	errNotRegular  = errors.New("it is not a regular file")
	errForeignLink = errors.New("it is a symbolic link owned by another user")
	errSharedLink  = errors.New("it is a symbolic link into a directory in which other users may create files")
	errLinkLoop    = errors.New("too many symbolic links")
)

const maxLinks = 40 // the limit of Linux

// followLinks follows symbolic links from name, and returns the path of the file, which may not
// exist yet. The last element of the result is not a symbolic link. Each link must belong to this
// user or to root, and its target must be in a directory that only they can write to. Otherwise
// another user could have created the link to make this user overwrite a file.
func followLinks(name string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(name)
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			return name, nil // opening the file returns the error
		}
		if !isTrusted(info) {
			return "", errForeignLink
		}
		target, err := os.Readlink(name)
		if err != nil {
			return "", err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(name))
		if err != nil {
			return "", err
		}
		// On Linux, /dev/stdout points here. The target of this link is not a usable path.
		if strings.HasPrefix(dir, "/proc/") {
			return "", errNotRegular
		}
		if !filepath.IsAbs(target) {
			target = dir + string(filepath.Separator) + target
		}
		parent, base := filepath.Split(target) // not cleaned, because ".." after a symbolic link means the parent of its target
		if base == "" || base == "." || base == ".." {
			return "", errNotRegular
		}
		if parent, err = filepath.EvalSymlinks(parent); err != nil {
			return "", err
		}
		into, err := os.Stat(parent)
		if err != nil {
			return "", err
		}
		if !isTrusted(into) || isShared(into) {
			return "", errSharedLink
		}
		name = filepath.Join(parent, base)
	}
	return "", errLinkLoop
}

// plain returns err without the name of the file, which may be a temporary file.
func plain(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
