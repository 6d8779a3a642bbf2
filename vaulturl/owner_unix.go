//go:build unix

package vaulturl

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner returns an error if another user than this one or root may have written the file.
func checkOwner(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrEnrolment, path)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, but vault runs as user %d", ErrEnrolment, path, s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%w: other users can change %s (mode %04o): chmod go-w %s", ErrEnrolment, path, mode, path)
	}
	return nil
}
