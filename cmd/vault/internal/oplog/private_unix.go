//go:build unix

package oplog

import (
	"io/fs"
	"syscall"
)

// openPlain makes an open fail for a symbolic link, and return at once for a pipe.
const openPlain = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// isPrivate reports whether only the owner can access the file.
func isPrivate(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 == 0 }
