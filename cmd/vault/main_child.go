package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// A child is a program that runs below this process, which reads its output.
type child struct {
	argv, env []string
	in        io.Reader // nil: that of this process
	out, err  io.Writer // nil: those of this process
	terminal  bool      // the program gets a terminal of its own, and its output goes to out
}

// childPatience is how long the output of a program is read after the program has ended. A process
// that it left behind may keep the pipe open.
const childPatience = 5 * time.Second

// runChild runs a program to its end and returns its exit code. When ctx ends, the program gets the
// signal that ended it, and may take its time.
func runChild(ctx context.Context, c child) (code int, err error) {
	path, err := startable(c.argv[0], c.env)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(path)
	cmd.Args, cmd.Env = c.argv, c.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.WaitDelay = childPatience
	if c.in != nil {
		cmd.Stdin = c.in
	}
	if c.out != nil {
		cmd.Stdout = c.out
	}
	if c.err != nil {
		cmd.Stderr = c.err
	}
	// Not ignored, because the program would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	run := cmd.Start
	finish := func() error { return cmd.Wait() }
	if c.terminal {
		run, finish = withTerminal(cmd, c.out)
	}
	if err := run(); err != nil {
		return 0, startError(c, path, err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		cmd.Process.Signal(signalOf(ctx))
		<-ended
	})
	err = finish()
	close(ended)
	stop()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exitCodeOf(exit), nil
	case errors.Is(err, exec.ErrWaitDelay):
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}

// startError classifies an error of starting the program at path.
func startError(c child, path string, err error) error {
	if errors.Is(err, syscall.E2BIG) {
		return tooLarge(c.argv, c.env)
	}
	return fmt.Errorf("%w: %s: %w", errNotExecutable, path, err)
}

// signalOf returns the signal that ended ctx.
func signalOf(ctx context.Context) os.Signal {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTerminated), errors.Is(cause, context.DeadlineExceeded):
		return syscall.SIGTERM
	case errors.Is(cause, errHungUp):
		return syscall.SIGHUP
	}
	return os.Interrupt
}

// exitCodeOf returns the exit code of a program, as a shell would: 128 and the signal that killed it.
func exitCodeOf(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
