package memfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// BUG(objectvault): Windows is untested. It cannot sync directories, so a completed write may
// be lost in a power failure. The access list of the directory decides who may read the files.

const (
	errNotDir = syscall.ENOTDIR
	errIsDir  = syscall.EISDIR
	openFlags = 0
	syncsDirs = false // an open directory cannot be removed
)

func hasNoLocks(err error) bool {
	return isAny(err, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED)
}

func hasNoLinks(err error) bool {
	return isAny(err, windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED)
}

func isFull(err error) bool {
	return isAny(err, windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func isDenied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || isAny(err, windows.ERROR_WRITE_PROTECT)
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir)
}

func isAny(err error, codes ...syscall.Errno) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// listable returns f: on Windows reading a directory also returns the types of its entries.
func listable(f *os.File) (*os.File, error) { return f, nil }

func checkPrivate(string, fs.FileInfo) error  { return nil }
func checkUnshared(string, fs.FileInfo) error { return nil }
func checkOwner(string, fs.FileInfo) error    { return nil }
