//go:build unix

package kek

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFile opens path and does not wait for a writer if it is a named pipe; checkFile rejects
// pipes.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, but vault runs as user %d: use a file that belongs to you", path, s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("other users can access %s (mode %04o): chmod 600 %s", path, mode, path)
	}
	return nil
}

// checkMounted accepts a file of root or of this user that no other user can write. A file of this
// user must not be readable by everyone. A file of root may be, because Kubernetes (0644) and Docker
// (0444) mount secrets with these modes by default.
func checkMounted(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return checkFile(path, info)
	}
	mode := info.Mode().Perm()
	switch {
	case s.Uid != 0 && int(s.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, but vault runs as user %d: use a file that belongs to you or to root", path, s.Uid, os.Geteuid())
	case mode&0o022 != 0:
		return fmt.Errorf("other users can change %s (mode %04o): chmod go-w %s", path, mode, path)
	case s.Uid != 0 && mode&0o007 != 0:
		return fmt.Errorf("other users can access %s (mode %04o): chmod o= %s", path, mode, path)
	}
	return nil
}
