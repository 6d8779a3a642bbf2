//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// replace returns a function that replaces this process with a program, so that exit code,
// signals, terminal and job control are those of the program. If this process ignores ^C, as in
// the background of a script, the program ignores it, too.
func replace(ignoresInterrupt bool) func(argv, env []string) (int, error) {
	return func(argv, env []string) (int, error) {
		path, err := lookUp(argv[0], env)
		if err != nil {
			return 0, err
		}
		if ignoresInterrupt {
			signal.Ignore(os.Interrupt)
		}
		switch err := syscall.Exec(path, argv, env); {
		case errors.Is(err, syscall.E2BIG):
			return 0, tooLarge(argv, env)
		case errors.Is(err, syscall.ENOENT):
			return 0, fmt.Errorf("%w: %s: its interpreter was not found", errNotExecutable, path)
		default:
			return 0, fmt.Errorf("%w: %s: %w", errNotExecutable, path, err)
		}
	}
}

// startable searches for a command as exec does.
func startable(command string, env []string) (string, error) { return lookUp(command, env) }

// lookUp searches for a command in the PATH of env, or in the PATH of this process if env has
// none. As in a shell, the search continues after a file that cannot be executed. The error is
// about this file if no other is found. Relative directories in PATH are skipped, because they
// depend on the working directory.
func lookUp(command string, env []string) (string, error) {
	if strings.Contains(command, "/") {
		switch err := executable(command); {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%w: %s", errNoCommand, command)
		case err != nil:
			return "", fmt.Errorf("%w: %s: %w", errNotExecutable, command, err)
		}
		return command, nil
	}
	search := os.Getenv("PATH")
	if i := slices.IndexFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") }); i >= 0 {
		search = strings.TrimPrefix(env[i], "PATH=")
	}
	notFound := fmt.Errorf("%w: %s", errNoCommand, command)
	for _, dir := range filepath.SplitList(search) {
		if command == "" || !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, command)
		switch err := executable(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && errors.Is(notFound, errNoCommand):
			notFound = fmt.Errorf("%w: %s: %w", errNotExecutable, path, err)
		}
	}
	return "", notFound
}

// executable returns nil if path is a file that this process may execute.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return plain(err)
	case info.IsDir():
		return syscall.EISDIR
	case info.Mode()&0o111 == 0:
		return syscall.EACCES
	}
	err = unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) {
		return nil // an old system does not support the check; executing the file returns the error
	}
	return err
}

// tooLarge returns an error that describes the argument or variable that is too large to pass to a
// program. It contains the variable's name and its size, but not its value.
func tooLarge(argv, env []string) error {
	const pointer = 8 // the system adds one for each string
	total := int64(0)
	for _, text := range slices.Concat(argv, env) {
		total += int64(len(text)) + 1 + pointer
		if limit := maxString(); limit > 0 && len(text) >= limit {
			subject := "an argument"
			if slices.Contains(env, text) {
				key, _, _ := strings.Cut(text, "=")
				subject = "the variable " + key
			}
			return fmt.Errorf("%s is %w: its size is %s, but this system allows at most %s", subject, errTooLarge, size(int64(len(text))), size(int64(limit)))
		}
	}
	return fmt.Errorf("the environment is %w: with the arguments its size is %s, but this system allows at most %s", errTooLarge, size(total), size(maxArguments()))
}

// maxString returns the maximum size of an argument or variable, or 0 if only their sum is limited.
func maxString() int {
	if runtime.GOOS == "linux" {
		return 32 * os.Getpagesize()
	}
	return 0
}

// maxArguments returns the maximum size of arguments and environment together.
func maxArguments() int64 {
	const posix, macOS = 128 << 10, 1 << 20
	var stack syscall.Rlimit
	if runtime.GOOS != "linux" || syscall.Getrlimit(syscall.RLIMIT_STACK, &stack) != nil {
		return macOS
	}
	return int64(min(max(uint64(stack.Cur)/4, posix), 6<<20))
}

// isClosed reports whether a standard stream was closed when the process started. The Go runtime
// replaces a closed stream with /dev/null, opened for reading and writing. A shell opens /dev/null
// only for writing.
//
// BUG(objectvault): Node.js and Python also open /dev/null for reading and writing if a program's
// output is to be ignored. isClosed reports such a stream as closed.
func isClosed(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
		return errors.Is(err, syscall.EBADF)
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

func brokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// isTrusted reports whether a file belongs to this user or to root.
func isTrusted(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// isShared reports whether users other than the owner may create files in a directory.
func isShared(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

func isReadOnlyDisk(err error) bool { return errors.Is(err, syscall.EROFS) }
