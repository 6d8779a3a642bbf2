//go:build !linux

package main

// fileSystem returns "": only Linux reports the file system.
func fileSystem(string) string { return "" }
