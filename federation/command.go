package federation

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// newCommand parses exec:. The command has no input. Its standard error is discarded, because
// it may contain a token. At the timeout it is killed together with its children. It cannot
// prompt on a terminal, because it does not run in the foreground.
func newCommand(line string, o *SourceOptions) (*source, error) {
	argv, err := words(line)
	switch {
	case err != nil:
		return nil, fmt.Errorf("exec: %w", err)
	case len(argv) == 0 || argv[0] == "":
		return nil, errors.New("exec: the command is missing")
	case strings.Contains(argv[0], "="): // the text may be a secret, so it is not repeated
		return nil, errors.New("exec: the command runs without a shell, so it must not start with VAR=value: start with the name of the command")
	}
	return &source{"exec:" + argv[0], o.timeout(), func(ctx context.Context) ([]byte, error) {
		return run(ctx, argv)
	}}, nil
}

// run returns the standard output of a command.
func run(ctx context.Context, argv []string) ([]byte, error) {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	out := &output{full: kill}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout = out
	cmd.WaitDelay = time.Second // in case a child of the command keeps the pipe open
	endTogether(cmd)
	if err := cmd.Start(); err != nil {
		return nil, invalidToken("the command cannot be started: %v", startError(err))
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case out.over:
		return nil, fmt.Errorf("%w: %w", ErrTokenInvalid, errTooLong)
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the command succeeded, but a child process keeps its output open
		return out.text, nil
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%w: the command ended with %s: run the command in a terminal to see its messages", ErrUnavailable, exit.ProcessState)
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// startError returns the reason why a command could not be started, without the name of the command,
// which is already part of the source's name.
func startError(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// output keeps at most the length of a token and fails a write that exceeds it.
type output struct {
	text []byte
	full func()
	over bool
}

func (o *output) Write(b []byte) (int, error) {
	if len(o.text)+len(b) > maxText {
		o.over = true
		o.full()
		return 0, errTooLong
	}
	o.text = append(o.text, b...)
	return len(b), nil
}
