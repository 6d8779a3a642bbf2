package main

import "github.com/rogpeppe/go-internal/testscript"

func hold(ts *testscript.TestScript, neg bool, args []string) {
	ts.Fatalf("start the script with [windows] skip")
}

func heedSignals() {}
