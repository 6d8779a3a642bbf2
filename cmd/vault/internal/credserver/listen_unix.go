//go:build unix

package credserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// listenUnix listens on a Unix socket at path. It creates the socket in a directory that only this
// user can enter, and moves it to path once it has mode 0600. To set the umask instead would also
// affect files that other goroutines create.
func listenUnix(ctx context.Context, path string) (_ net.Listener, err error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: the path of a Unix socket must be absolute, as in unix:/run/vault.sock", vault.ErrConfig)
	}
	if longest := len(syscall.RawSockaddrUnix{}.Path) - 1; len(path) > longest { // no client could connect
		return nil, fmt.Errorf("%w: the path of a Unix socket has at most %d bytes: %s", vault.ErrConfig, longest, path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// Two processes that start at the same time must not both take the socket for an unused one.
	if err := filelock.Lock(ctx, dir); err != nil {
		return nil, err
	}
	if err := checkUnused(ctx, path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir.Name(), ".v") // its mode is 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	name := filepath.Join(private, "s")
	l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("the socket %s, which is first created at %s: %w", path, name, err)
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name changes
	if err := os.Chmod(name, 0o600); err != nil {
		return nil, err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(name, path); err != nil {
		return nil, err
	}
	return &unixListener{UnixListener: l.(*net.UnixListener), path: path, info: info}, nil
}

// checkUnused returns an error if there is a file at path that must not be replaced.
func checkUnused(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%w: %s exists and is not a Unix socket", vault.ErrConfig, path)
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s: %w: another process listens there", path, syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return err
}

// A unixListener removes its socket when it is closed, unless the path has another one by then.
type unixListener struct {
	*net.UnixListener
	path   string
	info   fs.FileInfo
	remove sync.Once // later, a socket of another process may have the same inode
}

// Addr returns the path of the socket, and not the name with which it was created.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *unixListener) Close() error {
	l.remove.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
