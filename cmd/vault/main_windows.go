package main

import (
	"errors"
	"fmt"
	"io"
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
		path, err := startable(argv[0], env)
		if err != nil {
			return 0, err
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

// startable searches for a command in the PATH of env.
func startable(command string, env []string) (string, error) {
	for _, entry := range env {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.EqualFold(name, "PATH") {
			os.Setenv("PATH", value)
		}
	}
	path, err := exec.LookPath(command)
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: %s", errNoCommand, command)
	case err != nil:
		return "", fmt.Errorf("%w: %w", errNotExecutable, err)
	}
	return path, nil
}

func tooLarge([]string, []string) error { return fmt.Errorf("the environment is %w", errTooLarge) }

// withTerminal returns cmd's own functions: on Windows a program gets no terminal of its own.
func withTerminal(cmd *exec.Cmd, _ io.Writer) (start, wait func() error) { return cmd.Start, cmd.Wait }

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
