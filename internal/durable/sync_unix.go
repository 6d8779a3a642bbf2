//go:build unix

package durable

import "os"

// SyncOpenDir makes the names in the open directory d durable.
func SyncOpenDir(d *os.File) error { return d.Sync() }
