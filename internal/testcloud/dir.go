package testcloud

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dirPrefix is the prefix of the name of every temporary server directory.
const dirPrefix = "ovtc-"

// A dir is the directory of one server.
type dir struct {
	path string
	held *os.File // locked while the server runs; nil if the caller chose the directory
}

// newDir creates the directory of a server. If path is set, the directory must be empty or absent,
// and it is kept. Otherwise newDir creates a temporary directory, and removes those of processes
// that were killed.
func newDir(ctx context.Context, path string) (*dir, error) {
	if path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		switch entries, err := os.ReadDir(path); {
		case err != nil:
			return nil, err
		case len(entries) > 0:
			return nil, fmt.Errorf("%s is not empty: choose another directory, or remove it", path)
		}
		return &dir{path: path}, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "dirs.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	removeAbandoned()
	path, err = os.MkdirTemp("", dirPrefix)
	if err != nil {
		return nil, err
	}
	held, err := os.OpenFile(filepath.Join(path, "held"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		_, err = tryLock(held)
	}
	if err != nil {
		os.RemoveAll(path)
		return nil, err
	}
	return &dir{path, held}, nil
}

// remove removes a temporary directory, and keeps any other.
func (d *dir) remove() error {
	if d.held == nil {
		return nil
	}
	defer d.held.Close()
	return os.RemoveAll(d.path)
}

// removeAbandoned removes the temporary directories of processes that were killed.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, path := range paths {
		f, err := os.OpenFile(filepath.Join(path, "held"), os.O_RDWR, 0)
		if err != nil {
			// Another user's process, which does not share the lock, may be between mkdir and open.
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
				os.RemoveAll(path)
			}
			continue
		}
		if locked, err := tryLock(f); err == nil && locked {
			os.RemoveAll(path)
		}
		f.Close()
	}
}

// cacheDir returns the directory for installed servers and lock files, which is outside any
// repository.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(base, "objectvault-test")
	return path, os.MkdirAll(path, 0o700)
}

// lock locks path. It waits while another process of this machine holds the lock.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := poll(ctx, func() (bool, error) { return tryLock(f) }); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// poll calls done every few milliseconds until it returns true or an error, or until ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
