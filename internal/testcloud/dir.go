package testcloud

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dirPrefix begins the name of every temporary directory of a server.
const dirPrefix = "ovtc-"

// A dir is the directory of one server.
type dir struct {
	path string
	held *os.File // locked while the server runs; nil for a directory of the caller's
}

// newDir makes the directory of a server: at path, which must be empty or absent and
// stays, or else a temporary one. Temporary ones that a killed process left are removed.
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
			return nil, fmt.Errorf("%s is not empty: take another directory, or remove it", path)
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

// remove removes a temporary directory and leaves any other.
func (d *dir) remove() error {
	if d.held == nil {
		return nil
	}
	defer d.held.Close()
	return os.RemoveAll(d.path)
}

// removeAbandoned removes what a process that was killed could not.
func removeAbandoned() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, path := range paths {
		f, err := os.OpenFile(filepath.Join(path, "held"), os.O_RDWR, 0)
		if err != nil {
			// Another user, who does not share our lock, may be between mkdir and open.
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
				os.RemoveAll(path)
			}
			continue
		}
		if ours, err := tryLock(f); err == nil && ours {
			os.RemoveAll(path)
		}
		f.Close()
	}
}

// cacheDir is where installed servers and locks are kept, outside of any repository.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(base, "objectvault-test")
	return path, os.MkdirAll(path, 0o700)
}

// lock waits until path is not locked by another process on this machine.
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

// poll asks done every few milliseconds until it is true, fails, or ctx ends.
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
