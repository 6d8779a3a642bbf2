//go:build unix

package durable

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// openPlain prevents open from following a symbolic link, and from waiting for the other end of a
// pipe.
const openPlain = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// NoSync reports whether err, returned by [SyncDir] or [SyncOpenDir], means that the file system
// does not sync directories. SMB shares and some FUSE file systems do not. Their mount options
// determine whether a new name survives a power failure. A few systems return EBADF for every
// directory.
func NoSync(err error) bool {
	return isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EBADF)
}

// noLinks reports whether err, returned by a link call in a directory in which this process has
// just created a file, means that there are no hard links. Either the file system has none or, with
// EACCES, the system does not allow programs to create them, as on Android.
func noLinks(err error) bool {
	return isAny(err, syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.EMLINK)
}

func isAny(err error, codes ...syscall.Errno) bool {
	return slices.ContainsFunc(codes, func(code syscall.Errno) bool { return errors.Is(err, code) })
}

// SyncOpenDir makes the names in the open directory d durable.
func SyncOpenDir(d *os.File) error { return d.Sync() }
