// Package command runs a program for its output: a token, a key or a passphrase. It needs the
// standard library only.
package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

var (
	// ErrStart means that the program cannot be started. The error has the reason, but not the
	// name of the program.
	ErrStart = errors.New("the command cannot be started")
	// ErrTooLong means that the program has written more than the limit of its output.
	ErrTooLong = errors.New("the output of the command is too long")
	// ErrFailed means that the program ended with a code other than 0, or was killed.
	ErrFailed = errors.New("the command ended")
)

// Parse splits a command line into the program and its arguments: see [Words]. No error repeats the
// line, which may contain a secret.
func Parse(line string) ([]string, error) {
	argv, err := Words(line)
	switch {
	case err != nil:
		return nil, err
	case len(argv) == 0 || argv[0] == "":
		return nil, errors.New("the command is missing")
	case strings.Contains(argv[0], "="):
		return nil, errors.New("the command runs without a shell, so it must not start with VAR=value: start with the name of the command")
	}
	return argv, nil
}

// Output runs a program and returns its standard output, at most limit bytes. The caller clears the
// bytes if they are secret. The program has no input, and cannot ask on a terminal, because it does
// not run in the foreground. Its standard error is discarded, because it may contain a secret. When
// ctx ends, the program and its children are killed, and the error wraps that of ctx.
func Output(ctx context.Context, argv []string, limit int) ([]byte, error) {
	killable, kill := context.WithCancel(ctx)
	defer kill()
	out := &output{limit: limit, full: kill}
	cmd := exec.CommandContext(killable, argv[0], argv[1:]...)
	cmd.Stdout = out
	cmd.WaitDelay = time.Second // in case a child of the command keeps the pipe open
	endTogether(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrStart, startError(err))
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case out.over:
		err = ErrTooLong
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the command succeeded, but a child process keeps its output open
		return out.text, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.As(err, &exit):
		err = fmt.Errorf("%w with %s: run the command in a terminal to see its messages", ErrFailed, exit.ProcessState)
	}
	clear(out.text)
	return nil, err
}

// startError returns the reason why a command could not be started, without the name of the command.
func startError(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// An output keeps at most limit bytes, and fails a write that exceeds them.
type output struct {
	text  []byte
	limit int
	full  func()
	over  bool
}

func (o *output) Write(b []byte) (int, error) {
	if len(o.text)+len(b) > o.limit {
		o.over = true
		o.full()
		return 0, ErrTooLong
	}
	o.text = append(o.text, b...)
	return len(b), nil
}
