package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/objectvault/objectvault/cmd/vault/internal/terminal"
)

// input opens a file named by a flag, or standard input for "-". A read may block for an unlimited
// time, so it stops when ctx ends.
func (s *session) input(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(interruptible(ctx, s.in)), nil
	}
	f, _, err := s.openFile(ctx, name)
	return f, err
}

// cannotOpen adds the flag that names a file, or FILE for an argument, to the error of opening the file.
func cannotOpen(flag string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return usagef("%s: %v", flag, err)
}

// openFile opens name. Opening a pipe blocks until the other end is opened, so openFile does it in
// a goroutine. The size is -1 if it is not known.
func (s *session) openFile(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	type result struct {
		f    io.ReadCloser
		size int64
		err  error
	}
	done := make(chan result, 1)
	go func() {
		f, size, err := s.world.open(name)
		done <- result{f, size, err}
	}()
	select {
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.f.Close()
			}
		}()
		return nil, 0, ctx.Err()
	case r := <-done:
		if r.err == nil && r.size < 0 {
			r.f = &pipe{interruptible(ctx, r.f), r.f}
		}
		return r.f, r.size, r.err
	}
}

type pipe struct {
	io.Reader
	io.Closer
}

// interruptible reads r, and stops waiting for it when ctx ends.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err) // nil is an end
	}()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	return pr
}

// value returns the value that put stores, and its size, or -1 if the size is not known. The value
// is read from a file, from standard input, or from a prompt on the terminal.
func (s *session) value(ctx context.Context, file string, allowEmpty bool) (io.Reader, int64, func() error, error) {
	nothing := func() error { return nil }
	switch {
	case file != "-":
		f, size, err := s.openFile(ctx, file)
		if err != nil {
			return nil, 0, nil, notAFile(err)
		}
		r, err := notEmpty(f, size, allowEmpty)
		if err != nil {
			f.Close()
			return nil, 0, nil, err
		}
		return r, size, f.Close, nil
	case s.inTTY:
		text, err := s.askTwice(ctx)
		if err != nil {
			return nil, 0, nil, err
		}
		r, err := notEmpty(bytes.NewReader(text), int64(len(text)), allowEmpty)
		return r, int64(len(text)), nothing, err
	}
	if s.inSize > 0 {
		return s.in, s.inSize, nothing, nil
	}
	r, err := notEmpty(interruptible(ctx, s.in), -1, allowEmpty)
	return r, -1, nothing, err
}

// notAFile returns an error for a file that cannot be opened. It does not contain the name, which
// may be a secret in the wrong place.
func notAFile(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return hint(errors.New("cannot read the file: permission denied"), "run chmod u+r on the file, or pass the value through standard input")
	}
	e := usagef("the second argument is not a readable file (not shown, because it may be the secret)")
	e.Hint = "pass the value through standard input: {vault} put {name} < FILE"
	return e
}

// notEmpty returns an error if r is empty, unless that is allowed. A reader of known size is
// returned unchanged, so that it can be read a second time.
func notEmpty(r io.Reader, size int64, allowed bool) (io.Reader, error) {
	if _, ok := r.(io.Seeker); ok && size > 0 {
		return r, nil
	}
	b := bufio.NewReaderSize(r, 64<<10)
	switch _, err := b.Peek(1); {
	case err == io.EOF && !allowed:
		e := usagef("the value is empty")
		e.Hint = "check the command that wrote the value, or use --allow-empty to store it"
		return nil, e
	case err != nil && err != io.EOF:
		return nil, err
	}
	return b, nil
}

func (s *session) askTwice(ctx context.Context) ([]byte, error) {
	once, err := s.secret(ctx, "Value, not shown: ")
	if err != nil {
		return nil, err
	}
	again, err := s.secret(ctx, "Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(once, again) {
		return nil, usagef("the two values differ; nothing was stored")
	}
	return once, nil
}

// canConfirm returns an error if confirm could not ask. deed completes the error's sentence.
func (s *session) canConfirm(deed string) error {
	if s.yes || s.inTTY {
		return nil
	}
	return hint(usagef("%s, and cannot ask for confirmation without a terminal", deed), "use --yes to skip the confirmation")
}

// confirm asks the user to type the tenant, unless --yes is set. question is a question without the
// tenant and the store.
func (s *session) confirm(ctx context.Context, v *opened, question string) error {
	if s.yes {
		return nil
	}
	answer, err := s.ask(ctx, visible(fmt.Sprintf("%s of tenant %s in %s? Type the tenant to confirm: ", question, v.Tenant(), v.store.Name)), false)
	switch {
	case errors.Is(err, terminal.ErrNone), errors.Is(err, io.EOF):
		return usagef("the confirmation is missing; nothing was removed or changed")
	case err != nil:
		return err
	case string(answer) != string(v.Tenant()):
		return usagef("the answer is not the tenant; nothing was removed or changed")
	}
	return nil
}

func (s *session) secret(ctx context.Context, question string) ([]byte, error) {
	text, err := s.ask(ctx, question, true)
	switch {
	case errors.Is(err, terminal.ErrTooLong):
		e := usagef("%v", err)
		e.Hint = "pass a long value through standard input: {vault} put {name} < FILE"
		return nil, e
	case errors.Is(err, terminal.ErrNone), errors.Is(err, io.EOF):
		e := usagef("the value is missing")
		e.Hint = "pass the value through standard input: {vault} put {name} < FILE"
		return nil, e
	}
	return text, err
}
