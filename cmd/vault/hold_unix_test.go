//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// hold locks a name of the default store until the script ends, as a stopped writer would.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	path := lockFile(ts.Getenv("STORE"), args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	ts.Defer(func() { f.Close() })
}
