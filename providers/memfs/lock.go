package memfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// errBusy means that somebody else holds the lock.
var errBusy = errors.New("locked")

// locks serve the writers of one store in this process one after the other, so that
// only the first in line polls for the flock.
type locks [256]chan struct{}

func newLocks() (l locks) {
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
	return l
}

// How a flock is waited for: by polling, since one that waits cannot be called off.
const (
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// lock takes the lock of key, which dies with its holder.
func (s *files) lock(ctx context.Context, key string) (release func(), err error) {
	n := sha256.Sum256([]byte(key))[0]
	name := fmt.Sprintf("%s/%02x", lockDir, n)

	patience := s.config.lockTimeout()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	stuck := fmt.Errorf("%w: another process has held %s for %v: is it stopped?", vault.ErrBusy, s.abs(name), patience)

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

// flock takes the flock of name once.
func (s *files) flock(name string) (file, error) {
	f, err := s.disk.open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = f.lock(true)
	if err == nil && !s.isNamed(f, name) {
		err = errBusy // somebody has removed the file; the lock is on the next one
	}
	if err != nil {
		f.Close()
		return nil, noLocks(err)
	}
	return f, nil
}

// probeLocks refuses a file system without flock. A store that may only be read has
// to have it, too: there is no telling who else writes.
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

// noLocks says what to do if err means that the file system has no locks.
func noLocks(err error) error {
	if err != nil && hasNoLocks(err) {
		return fmt.Errorf("%w: the file system has no flock, and the store needs it: choose another one: %w", vault.ErrUnsupported, err)
	}
	return err
}
