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
		return fmt.Errorf("%s belongs to user %d, but this process runs as user %d: use a file that belongs to you", path, s.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("others may use %s, mode %04o: chmod 600 %s", path, mode, path)
	}
	return nil
}
