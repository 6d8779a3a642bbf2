//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package memfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/objectvault/objectvault/vault"
)

const (
	errNotDir = unix.ENOTDIR
	errIsDir  = unix.EISDIR

	syncsDirs = true

	// openFlags keep an open of a named pipe from blocking.
	openFlags = unix.O_NONBLOCK | unix.O_NOFOLLOW
)

// hasNoLocks reports whether err, from a lock, means that the file system has no locks.
func hasNoLocks(err error) bool {
	return isAny(err, unix.ENOSYS, unix.ENOLCK, unix.EOPNOTSUPP, unix.ENOTSUP, unix.EINVAL)
}

// hasNoLinks reports whether err, from a link between two files of the store, means that the
// file system has no links, or, with EACCES, that the system forbids them, like Android.
func hasNoLinks(err error) bool {
	return isAny(err, unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOTSUP, unix.EMLINK)
}

func isFull(err error) bool   { return isAny(err, unix.ENOSPC, unix.EDQUOT) }
func isDenied(err error) bool { return isAny(err, unix.EACCES, unix.EPERM, unix.EROFS) }

// isAbsent reports whether err means that the file does not exist, possibly because a name
// above it is not a directory.
func isAbsent(err error) bool { return isAny(err, unix.ENOENT, unix.ENOTDIR) }

func isAny(err error, codes ...unix.Errno) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// listable returns a second file for the directory f, whose ReadDir makes no call per entry.
// ReadDir of a file that [os.Root] opened calls lstat for each entry.
func listable(f *os.File) (*os.File, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = conn.Control(func(of uintptr) { fd, dupErr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, &fs.PathError{Op: "dup", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// checkPrivate rejects a directory or file that other users may access.
func checkPrivate(name string, fi fs.FileInfo) error { return checkMode(name, fi, 0o077) }

// checkUnshared rejects a directory in which other users may create and remove names.
func checkUnshared(name string, fi fs.FileInfo) error { return checkMode(name, fi, 0o022) }

// checkMode rejects a directory or file with one of the given mode bits.
func checkMode(name string, fi fs.FileInfo, bits fs.FileMode) error {
	if fi.Mode().Perm()&bits == 0 {
		return nil
	}
	mode := "600"
	if fi.IsDir() {
		mode = "700"
	}
	return fmt.Errorf("%w: %s is accessible to other users (%v): run chmod %s %[2]s", vault.ErrPermission, name, fi.Mode().Perm(), mode)
}

// checkOwner rejects a directory of another user.
func checkOwner(name string, fi fs.FileInfo) error {
	if stat, ok := fi.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, but this process runs as user %d: run it as the owner, or change the owner with chown",
			vault.ErrPermission, name, stat.Uid, os.Geteuid())
	}
	return nil
}
