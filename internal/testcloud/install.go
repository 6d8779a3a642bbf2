package testcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// VersityModule is what is installed. Its deviations from AWS, and those of Ceph
// 16.2.15, are known; those of other versions are not.
const VersityModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// ErrNotInstalled means that a server is not on this machine. Run
// go run ./internal/testcloud/cmd/testcloud install, as root for Ceph.
var ErrNotInstalled = errors.New("not installed")

// toolGrace is what an installer gets to end in order once its context has ended.
const toolGrace = 30 * time.Second

// InstallRGW installs Ceph with apt-get, unless it is there; it needs root for that.
// Only one process at a time installs, the others wait. log, if not nil, gets what will be
// installed and the output of the package manager.
func InstallRGW(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := cephTools(); return err }, func() error {
		if os.Geteuid() != 0 {
			return errors.New("installing it needs root: apt-get install --no-install-recommends " + strings.Join(cephPackages, " "))
		}
		announce(log, "installing Ceph (the packages %s and what they depend on) with apt-get update and apt-get install: about 100 MB to download and 400 MB on disk on a minimal Debian 12",
			strings.Join(cephPackages, ", "))
		return installCeph(ctx, log, toolGrace)
	})
}

// announce writes what is about to be installed to log, unless log is nil.
func announce(log io.Writer, format string, args ...any) {
	if log != nil {
		fmt.Fprintf(log, format+"\n", args...)
	}
}

// InstallVersity builds [VersityModule] into the user's cache directory, unless it is
// there: in a minute the first time. For log see [InstallRGW].
func InstallVersity(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := versityPath(); return err }, func() error {
		path, err := versityPlace()
		if err != nil {
			return err
		}
		announce(log, "installing %s with go install, about a minute: one file of 60 MB, %s", VersityModule, path)
		// Built beside its place and moved there: a build that was killed is not found.
		tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		// GOFLAGS may ask for a vendor directory, which that module does not have.
		if err := tool(ctx, log, toolGrace, []string{"GOBIN=" + tmp, "GOFLAGS=", "GOOS=", "GOARCH="}, "go", "install", "-ldflags=-s -w", VersityModule); err != nil {
			return err
		}
		return os.Rename(filepath.Join(tmp, "versitygw"), path)
	})
}

// install calls do if missing reports ErrNotInstalled, under a lock of the machine's user.
func install(ctx context.Context, log io.Writer, missing, do func() error) error {
	why := missing()
	if why == nil || unsupported != "" {
		return why
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "install.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if missing() == nil { // another process was first
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%w; %w", why, err)
	}
	return missing()
}

// tool runs a program to its end, with more in its environment. When ctx ends the program
// and all that it started are asked to end: a dpkg that is killed leaves packages half
// installed. What is left of them after grace is killed.
func tool(ctx context.Context, log io.Writer, grace time.Duration, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	inGroup(cmd)
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var said tail
	out := io.Writer(&said)
	if log != nil {
		out = io.MultiWriter(log, &said)
	}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if cmd.Process != nil {
			signalGroup(cmd, syscall.SIGKILL) // an error means that none is left
		}
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return fmt.Errorf("%s %s: %w: %s", name, args[0], err, said.b)
}

// A tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-500):]
	return len(p), nil
}

// versityPlace is where the pinned version is installed.
func versityPlace() (string, error) {
	cache, err := cacheDir()
	return filepath.Join(cache, "versitygw-v1.8.0"), err
}

// versityPath returns the path of the program, or an error wrapping [ErrNotInstalled].
func versityPath() (string, error) {
	if unsupported != "" {
		return "", fmt.Errorf("%w: %s", ErrNotInstalled, unsupported)
	}
	path, err := versityPlace()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return path, nil
}
