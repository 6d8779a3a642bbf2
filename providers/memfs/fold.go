package memfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/objectvault/objectvault/vault"
)

// clash returns the other spelling of name, or of a directory above it, that exists on a file
// system that ignores case. On other file systems it returns "".
func (s *files) clash(name string) (other string, err error) {
	if !s.folds || name == "." {
		return "", nil
	}
	if other, err := s.clash(path.Dir(name)); err != nil || other != "" {
		return other, err
	}
	fi, err := s.disk.lstat(name)
	if err != nil {
		if isAbsent(err) {
			err = nil
		}
		return "", err
	}
	// The lookup succeeds; check whether the spelling is the same.
	err = s.disk.list(path.Dir(name), func(e fs.DirEntry) error {
		if e.Name() == path.Base(name) {
			other = ""
			return errExactName
		}
		if other == "" {
			if entry, err := e.Info(); err == nil && os.SameFile(entry, fi) {
				other = path.Join(path.Dir(name), e.Name())
			}
		}
		return nil
	})
	if errors.Is(err, errExactName) {
		return "", nil
	}
	return other, err
}

// errExactName ends a list when it has found the exact name.
var errExactName = errors.New("exact name found")

// conflict returns the error for a key that exists in another spelling.
func (s *files) conflict(other string) error {
	if other == "" {
		return nil
	}
	return fmt.Errorf("%w: the file system ignores case, and %s already exists: choose another name", vault.ErrConflict, s.abs(other))
}
