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

// VersityModule is the version of versitygw that is installed. The tests know the deviations from
// AWS of this version and of Ceph 16.2.15, but not those of other versions.
const VersityModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// ErrNotInstalled means that this machine does not have the server. To install it, run go run
// ./internal/testcloud/cmd/testcloud install (for Ceph, as root).
var ErrNotInstalled = errors.New("not installed")

// toolGrace is how long an installer may take to exit after its context has ended.
const toolGrace = 30 * time.Second

// InstallRGW installs Ceph with apt-get, unless it is already installed. This requires root. If
// several processes call it, one installs and the others wait. If log is not nil, InstallRGW
// announces the installation there and copies the output of the package manager.
func InstallRGW(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := cephTools(); return err }, func() error {
		if os.Geteuid() != 0 {
			return errors.New("the installation requires root: apt-get install --no-install-recommends " + strings.Join(cephPackages, " "))
		}
		announce(log, "installing Ceph (the packages %s and what they depend on) with apt-get update and apt-get install: about 100 MB to download and 400 MB on disk on a minimal Debian 12",
			strings.Join(cephPackages, ", "))
		return installCeph(ctx, log, toolGrace)
	})
}

// announce writes a message about a pending installation to log, unless log is nil.
func announce(log io.Writer, format string, args ...any) {
	if log != nil {
		fmt.Fprintf(log, format+"\n", args...)
	}
}

// InstallVersity builds [VersityModule] into the user's cache directory, unless it is already
// there. The first time takes about a minute. For log, see [InstallRGW].
func InstallVersity(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := versityPath(); return err }, func() error {
		path, err := versityPlace()
		if err != nil {
			return err
		}
		announce(log, "installing %s with go install, about a minute: one file of 60 MB, %s", VersityModule, path)
		// The program is built in another directory and renamed, so a build that was killed leaves
		// no program.
		tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		// GOFLAGS may require a vendor directory, which this module does not have.
		if err := tool(ctx, log, toolGrace, []string{"GOBIN=" + tmp, "GOFLAGS=", "GOOS=", "GOARCH="}, "go", "install", "-ldflags=-s -w", VersityModule); err != nil {
			return err
		}
		return os.Rename(filepath.Join(tmp, "versitygw"), path)
	})
}

// install calls do if missing reports ErrNotInstalled, while it holds a lock of the user.
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
	if missing() == nil { // another process installed it in the meantime
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%w; %w", why, err)
	}
	return missing()
}

// tool runs a program with additional environment variables and waits for it. When ctx ends, tool
// sends SIGTERM to the program and its children, because a dpkg that is killed leaves
// half-installed packages. After grace, it kills the remaining processes.
func tool(ctx context.Context, log io.Writer, grace time.Duration, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	inGroup(cmd)
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var output tail
	out := io.Writer(&output)
	if log != nil {
		out = io.MultiWriter(log, &output)
	}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if cmd.Process != nil {
			signalGroup(cmd, syscall.SIGKILL) // an error means that no process remains
		}
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return fmt.Errorf("%s %s: %w: %s", name, args[0], err, output.b)
}

// A tail is a writer that keeps only the end of its input.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-500):]
	return len(p), nil
}

// versityPlace returns the path at which the pinned version is installed.
func versityPlace() (string, error) {
	cache, err := cacheDir()
	return filepath.Join(cache, "versitygw-v1.8.0"), err
}

// versityPath returns the path of the program, or an error that wraps [ErrNotInstalled].
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
