//go:build unix

package durable

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// openPlain keeps an open from following a link, and from waiting for the other end of a pipe.
const openPlain = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// NoSync reports whether err, of [SyncDir] or [SyncOpenDir], means that the file system
// does not sync directories. SMB shares and some FUSE file systems do not. Whether a new
// name survives a power failure there depends on how they are mounted. EBADF is what a few
// systems return for every directory.
func NoSync(err error) bool {
	return isAny(err, syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EBADF)
}

// noLinks reports whether err, of a link between two names in one directory in which this
// process has just created a file, means that there are no hard links: the file system has
// none, or, with EACCES, the system does not let programs make them, as Android.
func noLinks(err error) bool {
	return isAny(err, syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.EMLINK)
}

func isAny(err error, codes ...syscall.Errno) bool {
	return slices.ContainsFunc(codes, func(code syscall.Errno) bool { return errors.Is(err, code) })
}

// SyncOpenDir makes the names in the open directory d durable.
func SyncOpenDir(d *os.File) error { return d.Sync() }
