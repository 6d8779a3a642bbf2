package main

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fileSystem returns the name of the file system of dir, or of the directory above it that exists, if a reboot, or the end of a container, may
// empty it; otherwise "".
func fileSystem(dir string) string {
	var s unix.Statfs_t
	for unix.Statfs(dir, &s) != nil {
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
	switch s.Type {
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.RAMFS_MAGIC:
		return "ramfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return ""
}
