//go:build unix

package durable

import (
	"os"
	"syscall"
)

// openPlain keeps an open from following a link, and from waiting for the other end of a pipe.
const openPlain = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// SyncOpenDir makes the names in the open directory d durable.
func SyncOpenDir(d *os.File) error { return d.Sync() }
