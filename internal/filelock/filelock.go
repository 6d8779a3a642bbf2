// Package filelock locks files against other processes and other opens of the same process. The
// system releases a lock when its holder ends.
package filelock

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrLocked means that another holder has the lock.
var ErrLocked = errors.New("locked")

// A blocking lock cannot be cancelled, so Lock polls.
const (
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// Lock waits for the exclusive lock of f until ctx ends. Closing f releases it.
func Lock(ctx context.Context, f *os.File) error {
	for poll := firstPoll; ; poll = min(2*poll, lastPoll) {
		if err := Try(f, true); !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
