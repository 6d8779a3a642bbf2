//go:build unix

package oplog

import "io/fs"

// isPrivate reports whether only the owner can access the file.
func isPrivate(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 == 0 }
