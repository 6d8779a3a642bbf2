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

// heedHangup restores the default action of SIGHUP in the programs that tests start, also under nohup.
// Otherwise a program would inherit that SIGHUP is ignored, and a script that sent SIGHUP would wait
// forever. If a process catches a signal, a program that it starts does not ignore the signal.
func heedHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// TestUnderNohup runs itself with SIGHUP ignored, and starts a program that SIGHUP must end.
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
		t.Errorf("a program that sends itself SIGHUP ended with %v", err)
	}
}
