package testcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// VersityModule is what is installed. Its deviations from AWS, and those of Ceph
// 16.2.15, are known; those of other versions are not.
const VersityModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// ErrNotInstalled means that a server is not on this machine. Run
// go run ./internal/testcloud/cmd/testcloud install, as root for Ceph.
var ErrNotInstalled = errors.New("not installed")

// InstallRGW installs Ceph with apt-get, unless it is there; it needs root for that.
// Only one process at a time installs, the others wait. log, if not nil, is told what
// the package manager says.
func InstallRGW(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := cephTools(); return err }, func() error {
		if os.Geteuid() != 0 {
			return errors.New("installing it needs root")
		}
		if err := tool(ctx, log, nil, "apt-get", "update"); err != nil {
			return err
		}
		return tool(ctx, log, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "--no-install-recommends", "radosgw", "ceph-mon", "ceph-osd")
	})
}

// InstallVersity builds [VersityModule] into the user's cache directory, unless it is
// there: in a minute the first time.
func InstallVersity(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := versityPath(); return err }, func() error {
		path, err := versityPlace()
		if err != nil {
			return err
		}
		// Built beside its place and moved there: a build that was killed is not found.
		tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		// GOFLAGS may ask for a vendor directory, which that module does not have.
		if err := tool(ctx, log, []string{"GOBIN=" + tmp, "GOFLAGS=", "GOOS=", "GOARCH="}, "go", "install", "-ldflags=-s -w", VersityModule); err != nil {
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
	if missing() == nil { // somebody else was first
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%w; %w", why, err)
	}
	return missing()
}

// tool runs a program to its end, with more in its environment.
func tool(ctx context.Context, log io.Writer, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var said tail
	out := io.Writer(&said)
	if log != nil {
		out = io.MultiWriter(log, &said)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, args[0], err, said.b)
	}
	return nil
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
