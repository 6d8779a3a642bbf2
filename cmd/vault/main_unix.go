//go:build !windows

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// replace turns this process into the program: exit code, signals, terminal and job
// control are right by construction. A program that runs in the background of a script
// ignores ^C, and goes on doing so.
func replace(ignoresInterrupt bool) func(argv, env []string) (int, error) {
	return func(argv, env []string) (int, error) {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			return 0, err
		}
		if ignoresInterrupt {
			signal.Ignore(os.Interrupt)
		}
		return 0, syscall.Exec(path, argv, env)
	}
}

func brokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// isTrusted reports whether a file belongs to this user or to root.
func isTrusted(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// isShared reports whether others than the owner may create files in a directory.
func isShared(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

func isReadOnlyDisk(err error) bool { return errors.Is(err, syscall.EROFS) }
