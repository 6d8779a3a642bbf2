package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// replace runs the program and stays its parent: Windows cannot replace a process. The
// console sends ^C to both, and it is the child's to act on.
func replace(bool) func(argv, env []string) (int, error) {
	return func(argv, env []string) (int, error) {
		for _, entry := range env { // the command is looked up in the PATH that it gets
			if name, value, ok := strings.Cut(entry, "="); ok && strings.EqualFold(name, "PATH") {
				os.Setenv("PATH", value)
			}
		}
		path, err := exec.LookPath(argv[0])
		switch {
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("%w: %s", errNoCommand, argv[0])
		case err != nil:
			return 0, fmt.Errorf("%w: %w", errNotExecutable, err)
		}
		cmd := exec.Command(path, argv[1:]...)
		cmd.Env = env
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		signal.Ignore(os.Interrupt)
		err = cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), nil
		}
		if err != nil && cmd.Process == nil {
			err = fmt.Errorf("%w: %w", errNotExecutable, err)
		}
		return 0, err
	}
}

// isClosed returns false: a write to a handle that is closed fails here.
func isClosed(*os.File) bool { return false }

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
