//go:build !unix

package durable

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

const openPlain = 0

// SyncOpenDir does nothing: this system cannot sync a directory, so a new name may be
// lost in a power failure.
func SyncOpenDir(*os.File) error { return nil }

// NoSync returns false, because SyncOpenDir never fails.
func NoSync(error) bool { return false }

// noLinks reports whether err, returned by a link call, means that the file system has no hard
// links: ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED, ERROR_TOO_MANY_LINKS.
func noLinks(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{1, 50, 1142}, func(code syscall.Errno) bool { return errors.Is(err, code) })
}
