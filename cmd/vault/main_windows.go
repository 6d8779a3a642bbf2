package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// replace runs the program and stays its parent: Windows cannot replace a process. The
// console sends ^C to both, and it is the child's to act on.
func replace(bool) func(argv, env []string) (int, error) {
	return func(argv, env []string) (int, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = env
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		signal.Ignore(os.Interrupt)
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), nil
		}
		return 0, err
	}
}

func brokenPipe(err error) bool {
	const noData = syscall.Errno(232) // ERROR_NO_DATA: the pipe is being closed
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, noData)
}

// BUG(objectvault): On Windows get -o follows every symbolic link. Making one takes a
// privilege there that other users do not have by default.
func isTrusted(fs.FileInfo) bool { return true }

func isShared(fs.FileInfo) bool { return false }

func isReadOnlyDisk(err error) bool {
	const writeProtected = syscall.Errno(19) // ERROR_WRITE_PROTECT
	return errors.Is(err, writeProtected)
}
