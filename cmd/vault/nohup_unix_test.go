//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// heedSignals restores the default action of SIGHUP and SIGINT in the programs that tests start, also under
// nohup, and in the background of a shell. Otherwise a program would inherit that the signal is ignored, and
// a script that sent it would wait forever. If a process catches a signal, a program that it starts does
// not ignore the signal.
func heedSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			c := make(chan os.Signal, 1)
			signal.Notify(c, s)
		}
	}
}

// TestUnderNohup runs itself with SIGHUP and SIGINT ignored, and starts programs that they must end.
func TestUnderNohup(t *testing.T) {
	const inside = "UNDER_NOHUP"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("sh", "-c", `trap '' HUP INT; exec "$0" -test.run '^TestUnderNohup$'`, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		err := exec.Command("sh", "-c", fmt.Sprintf("kill -%d $$", s)).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != s {
			t.Errorf("a program that sends itself %v ended with %v", s, err)
		}
	}
}
