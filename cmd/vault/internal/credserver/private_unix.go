//go:build unix

package credserver

import (
	"fmt"
	"os"
	"syscall"

	"github.com/objectvault/objectvault/vault"
)

// openPrivate opens a file to which only this user has access. It does not wait for a writer if it is
// a named pipe.
func openPrivate(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	return f, nil
}

func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, but vault runs as user %d: use a file that belongs to you", f.Name(), s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("other users can access %s (mode %04o): run chmod 600 %s", f.Name(), mode, f.Name())
	}
	return nil
}
