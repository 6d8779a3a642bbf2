//go:build !unix

package kek

import (
	"fmt"
	"io/fs"
	"os"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

// checkFile does not check permissions: on this system access lists that are inherited from the
// directory, not mode bits, decide who may read a file.
func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

func checkMounted(path string, info fs.FileInfo) error { return checkFile(path, info) }
