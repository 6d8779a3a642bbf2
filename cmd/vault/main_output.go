package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/internal/durable"
)

// createFile starts a file of mode 0600, which replaces an existing file when it is
// committed. A symbolic link is followed, if no other user can have created it. A device
// or a pipe is refused, since renaming over it would remove it.
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
		return nil, err // not a nil *durable.File in an interface
	}
	// No file can be made beside it, such as one file that is mounted into a container whose
	// disk is read-only. It can still be written if its own mode allows that.
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
		return nil // a directory that may be written and not read: the file is there
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

const maxLinks = 40 // as Linux has it

// followLinks returns the path of the file that name leads to, which may not exist yet. The
// last element of the result is no symbolic link. Each link on the way has to be this user's
// or root's, and has to lead into a directory that only they may write to. Another link could
// have been made by another user, to have a file of this user's overwritten.
func followLinks(name string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(name)
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			return name, nil // whatever is wrong shows when it is opened
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
		// What /dev/stdout leads to on Linux. Its target is a path only for show.
		if strings.HasPrefix(dir, "/proc/") {
			return "", errNotRegular
		}
		if !filepath.IsAbs(target) {
			target = dir + string(filepath.Separator) + target
		}
		parent, base := filepath.Split(target) // not cleaned: ".." after a link is not where it seems to be
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

// plain is err without the name of the file, which may be a temporary one.
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
