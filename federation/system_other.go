//go:build !unix

package federation

import (
	"io/fs"
	"os"
	"os/exec"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

// endTogether leaves the default, which ends cmd alone.
func endTogether(*exec.Cmd) {}

func openLogin(path string) (*os.File, error) { return os.Open(path) }

// checkOwn does not look: mode bits say nothing here, who may read a file is in access
// lists inherited from its directory.
func checkOwn(string, fs.FileInfo, string) error { return nil }
