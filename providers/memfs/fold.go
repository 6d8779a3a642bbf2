package memfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/objectvault/objectvault/vault"
)

// clash returns the other spelling under which a file system that folds case has
// name, or something above it. Other file systems have none.
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
	// It answers to this name; but does it bear it?
	err = s.disk.list(path.Dir(name), func(e fs.DirEntry) error {
		if e.Name() == path.Base(name) {
			other = ""
			return errBears
		}
		if other == "" {
			if there, err := e.Info(); err == nil && os.SameFile(there, fi) {
				other = path.Join(path.Dir(name), e.Name())
			}
		}
		return nil
	})
	if errors.Is(err, errBears) {
		return "", nil
	}
	return other, err
}

// errBears ends a list that has shown the name.
var errBears = errors.New("it bears the name")

// conflict is the error for a key that exists in another spelling.
func (s *files) conflict(other string) error {
	if other == "" {
		return nil
	}
	return fmt.Errorf("%w: the file system folds case and has %s already: choose another name", vault.ErrConflict, s.abs(other))
}
