//go:build !unix

package credserver

import (
	"fmt"
	"os"

	"github.com/objectvault/objectvault/vault"
)

// openPrivate opens a regular file. On this system access is not controlled by mode bits, but by
// access lists that are inherited from the directory.
func openPrivate(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", vault.ErrConfig, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
