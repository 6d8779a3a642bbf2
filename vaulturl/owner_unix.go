//go:build unix

package vaulturl

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openNow opens a file, and does not wait for a writer if it is a named pipe.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

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

// checkDescriptor returns an error unless n is a file, pipe or socket that the parent process has
// opened. This process has other descriptors, which must not be read or closed: it opens them with
// FD_CLOEXEC, which a descriptor of the parent has only after [CloseOnExec].
func checkDescriptor(n int) error {
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
	var s syscall.Stat_t
	_, isReserved := reserved.Load(n)
	if err != nil || flags&unix.FD_CLOEXEC != 0 && !isReserved || syscall.Fstat(n, &s) != nil {
		return absent("is not open")
	}
	switch s.Mode & syscall.S_IFMT {
	case syscall.S_IFREG, syscall.S_IFIFO, syscall.S_IFSOCK:
		return nil
	}
	return &URLError{"is not a file, a pipe or a socket", "open the file for the descriptor, as a shell does with 3< FILE"}
}

func closeOnExec(n int) { syscall.CloseOnExec(n) }
