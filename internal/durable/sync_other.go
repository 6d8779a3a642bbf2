//go:build !unix

package durable

import "os"

const openPlain = 0

// SyncOpenDir does nothing: this system cannot sync a directory, so a new name may be
// lost in a power failure.
func SyncOpenDir(*os.File) error { return nil }
