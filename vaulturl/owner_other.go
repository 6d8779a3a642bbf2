//go:build !unix

package vaulturl

import (
	"fmt"
	"io/fs"
	"os"
)

// openNow opens a file.
func openNow(path string) (*os.File, error) { return os.Open(path) }

// checkOwner does not check permissions, because access lists decide on this system, not mode bits.
func checkOwner(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrEnrolment, path)
	}
	return nil
}

func checkDescriptor(int) error {
	return &URLError{"cannot be used on this system", "use local:///FILE, env:VAR or exec:COMMAND"}
}

func closeOnExec(int) {}
