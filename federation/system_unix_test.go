//go:build unix

package federation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

// The children of a command are killed with it.
func TestCommandEndsWithItsChildren(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := command(t, "family "+path, nil).Token(ctx)
		got <- err
	}()
	pipe, err := os.Open(path) // blocks until the child opens it, too
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(pipe, b); err != nil || string(b) != "ready" {
		t.Fatalf("%q, %v", b, err)
	}
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	pipe.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := pipe.Read(b); n != 0 || err != io.EOF {
		t.Errorf("the child still has the pipe: %d, %v", n, err)
	}
}

// As in exec 3< <(command), and --identity file:/dev/fd/3.
func TestFileThatIsAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	short := &federation.SourceOptions{Timeout: 50 * time.Millisecond}
	refuses(t, parseSource(t, "file:"+path, short), federation.ErrUnavailable,
		"file:"+path+": identity service unavailable: no response in time: context deadline exceeded")
	go func() {
		defer w.Close()
		for _, part := range []string{jwt(`{"sub":"a"}`)[:10], jwt(`{"sub":"a"}`)[10:], "\n"} {
			io.WriteString(w, part)
		}
	}()
	s := parseSource(t, "file:"+path, nil)
	gives(t, s, "a")
	refuses(t, s, federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it is empty")

	// Reading a pipe without a writer does not wait.
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, parseSource(t, "file:"+path, nil), federation.ErrTokenInvalid, "file:"+path+": no valid identity token: it is empty")

	refuses(t, parseSource(t, "file:/dev/null", nil), federation.ErrTokenInvalid, "file:/dev/null: no valid identity token: not a regular file or a pipe")
}
