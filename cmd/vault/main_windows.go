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

// replace returns a function that runs a program as a child, because Windows cannot replace a
// process. The console sends ^C to both processes; this one ignores it.
func replace(bool) func(argv, env []string) (int, error) {
	return func(argv, env []string) (int, error) {
		for _, entry := range env { // search in the PATH that the command gets
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

// isClosed returns false, because on Windows a write to a closed handle fails.
func isClosed(*os.File) bool { return false }

func brokenPipe(err error) bool {
	const noData = syscall.Errno(232) // ERROR_NO_DATA: the pipe is being closed
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, noData)
}

// BUG(objectvault): On Windows, get -o follows every symbolic link. By default, other users do not
// have the privilege that is required to create one.
func isTrusted(fs.FileInfo) bool { return true }

func isShared(fs.FileInfo) bool { return false }

func isReadOnlyDisk(err error) bool {
	const writeProtected = syscall.Errno(19) // ERROR_WRITE_PROTECT
	return errors.Is(err, writeProtected)
}
