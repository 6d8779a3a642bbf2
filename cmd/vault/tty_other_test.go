//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("the tests of terminals run on Linux only: start the script with [!linux] skip")
}
