//go:build !windows

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// heedHangup has the programs that tests start begin with the usual answer to SIGHUP,
// under nohup as well: one that was told to ignore it goes on ignoring it, and a script
// that sent it waits forever. What is caught here is not ignored by a new program.
func heedHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// TestUnderNohup runs itself with SIGHUP ignored, and there a program that ends by it.
func TestUnderNohup(t *testing.T) {
	const inside = "UNDER_NOHUP"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("sh", "-c", `trap '' HUP; exec "$0" -test.run '^TestUnderNohup$'`, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	err := exec.Command("sh", "-c", "kill -HUP $$").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
		t.Errorf("a program that sends itself SIGHUP ends with %v", err)
	}
}
