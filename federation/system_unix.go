//go:build unix

package federation

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFile opens path and does not wait for a writer if it is a named pipe.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// openLogin opens path and does not follow a symbolic link, which could lead to a file that
// Save did not write.
func openLogin(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil && isLink(path) {
		return nil, fmt.Errorf("%w: %s is a symbolic link: remove it, and log in again", ErrLoginFile, path)
	}
	return f, err
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}

// checkPrivateFile returns an error if another user may read or replace the file.
func checkPrivateFile(path string, info fs.FileInfo, chmod string) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, but this process runs as user %d: use a file or directory that belongs to you", ErrLoginFile, path, s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: other users can access %s (mode %04o): run chmod %s %s", ErrLoginFile, path, mode, chmod, path)
	}
	return nil
}
