package oplog

import "io/fs"

const openPlain = 0 // other users cannot create symbolic links by default

// isPrivate returns true: the mode of a file says nothing on Windows.
func isPrivate(fs.FileInfo) bool { return true }
