package memfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// errBusy means that another holder has the lock.
var errBusy = filelock.ErrLocked

// locks serialize the writers of one store in this process, so that only one of them polls for
// the flock.
type locks [256]chan struct{}

func newLocks() (l locks) {
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
	return l
}

// A flock is polled, because a blocking one cannot be cancelled.
const (
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// lock acquires the lock of key. The system releases it when the process ends.
func (s *files) lock(ctx context.Context, key string) (release func(), err error) {
	n := sha256.Sum256([]byte(key))[0]
	name := fmt.Sprintf("%s/%02x", lockDir, n)

	timeout := s.config.lockTimeout()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	stuck := fmt.Errorf("%w: another process has locked %s for more than %v: check whether that process is suspended or hangs", vault.ErrBusy, s.abs(name), timeout)

	select {
	case s.locks[n] <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-deadline.C:
		return nil, stuck
	}
	for poll := firstPoll; ; poll = min(2*poll, lastPoll) {
		f, err := s.flock(name)
		if err == nil {
			return func() { f.Close(); <-s.locks[n] }, nil
		}
		if !errors.Is(err, errBusy) {
			<-s.locks[n]
			return nil, err
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			<-s.locks[n]
			return nil, ctx.Err()
		case <-deadline.C:
			<-s.locks[n]
			return nil, stuck
		}
	}
}

// flock tries once to acquire the flock of name.
func (s *files) flock(name string) (file, error) {
	f, err := s.disk.open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = f.lock(true)
	if err == nil && !s.isNamed(f, name) {
		err = errBusy // the file was removed; the lock is on its successor
	}
	if err != nil {
		f.Close()
		return nil, noLocks(err)
	}
	return f, nil
}

// probeLocks rejects a file system without flock. A store that is only read needs it, too,
// because other processes may write.
func (s *files) probeLocks() error {
	f, err := s.disk.open(formatFile, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.lock(false); !errors.Is(err, errBusy) {
		return noLocks(err)
	}
	return nil
}

// noLocks returns an error with advice if err means that the file system has no locks.
func noLocks(err error) error {
	if err != nil && hasNoLocks(err) {
		return fmt.Errorf("%w: the file system does not support flock, which the store needs: use another file system: %w", vault.ErrUnsupported, err)
	}
	return err
}
