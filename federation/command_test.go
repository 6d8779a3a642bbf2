package federation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

// The test binary acts as the commands of exec: sources.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "play" {
		play(os.Args[2], os.Args[3:])
	}
	os.Exit(m.Run())
}

func play(part string, args []string) {
	time.AfterFunc(time.Minute, func() { os.Exit(1) }) // if the test is killed
	switch part {
	case "print": // a token with its arguments as subject
		fmt.Println(jwt(fmt.Sprintf(`{"sub":%q}`, strings.Join(args, "|"))))
	case "input": // its standard input
		b, err := io.ReadAll(os.Stdin)
		fmt.Print(jwt(fmt.Sprintf(`{"sub":"%d %v"}`, len(b), err)))
	case "fail":
		fmt.Println(jwt(`{"sub":"a"}`))
		fmt.Fprintln(os.Stderr, hidden)
		os.Exit(3)
	case "talk":
		fmt.Fprintln(os.Stderr, hidden)
		fmt.Println(jwt(`{"sub":"a"}`))
	case "flood":
		signal.Ignore(syscall.SIGPIPE)
		for { // ignores errors
			fmt.Println(strings.Repeat(hidden, 1000))
		}
	case "hang":
		time.Sleep(time.Hour)
	case "leave": // a child that keeps standard output
		child := exec.Command(os.Args[0], "play", "stay", args[0])
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		fmt.Println(jwt(`{"sub":"a"}`))
	case "stay": // until this directory is removed
		for _, err := os.Stat(args[0]); err == nil; _, err = os.Stat(args[0]) {
			time.Sleep(20 * time.Millisecond)
		}
	case "family": // starts a child that keeps the pipe and writes ready; both hang
		child := exec.Command(os.Args[0], "play", "hold", args[0])
		child.Stdout = os.Stdout
		child.Run()
	case "hold":
		pipe, err := os.OpenFile(args[0], os.O_WRONLY, 0)
		if err != nil {
			os.Exit(1)
		}
		fmt.Fprint(pipe, "ready")
		time.Sleep(time.Hour)
	}
	os.Exit(0)
}

// command returns an exec: source that runs the test binary in the given role.
func command(t *testing.T, part string, o *federation.SourceOptions) federation.Source {
	t.Helper()
	return parseSource(t, "exec:'"+os.Args[0]+"' play "+part, o)
}

func TestCommand(t *testing.T) {
	name := "exec:" + os.Args[0]
	ample := &federation.SourceOptions{Timeout: time.Minute}
	t.Run("arguments", func(t *testing.T) {
		gives(t, command(t, `print a 'b c' "d;e" $HOME '' *`, nil), "a|b c|d;e|$HOME||*")
	})
	t.Run("no input", func(t *testing.T) { gives(t, command(t, "input", nil), "0 <nil>") })
	t.Run("stdout only", func(t *testing.T) { gives(t, command(t, "talk", nil), "a") })
	t.Run("child keeps stdout open", func(t *testing.T) { gives(t, command(t, "leave "+t.TempDir(), ample), "a") })
	t.Run("command fails", func(t *testing.T) {
		refuses(t, command(t, "fail "+hidden, nil), federation.ErrUnavailable,
			name+": identity service unavailable: the command ended with exit status 3: run the command in a terminal to see its messages")
	})
	t.Run("no output", func(t *testing.T) {
		refuses(t, command(t, "nothing "+hidden, nil), federation.ErrTokenInvalid, name+": no valid identity token: it is empty")
	})
	t.Run("endless output", func(t *testing.T) {
		refuses(t, command(t, "flood", ample), federation.ErrTokenInvalid, name+": no valid identity token: it is longer than 64 KiB")
	})
	t.Run("command not found", func(t *testing.T) {
		refuses(t, parseSource(t, "exec:objectvault-no-such-command "+hidden, nil), federation.ErrTokenInvalid,
			"exec:objectvault-no-such-command: no valid identity token: the command cannot be started: executable file not found in $PATH")
	})
	t.Run("command hangs until the timeout", func(t *testing.T) {
		s := command(t, "hang "+hidden, &federation.SourceOptions{Timeout: 50 * time.Millisecond})
		refuses(t, s, federation.ErrUnavailable, name+": identity service unavailable: no response in time: context deadline exceeded")
	})
	t.Run("command hangs and the context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := command(t, "hang", nil).Token(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, federation.ErrUnavailable) {
			t.Error(err)
		}
	})
}
