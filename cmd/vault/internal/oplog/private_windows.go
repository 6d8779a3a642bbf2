package oplog

import "io/fs"

// isPrivate returns true: the mode of a file says nothing on Windows.
func isPrivate(fs.FileInfo) bool { return true }
