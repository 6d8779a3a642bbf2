// Package terminal asks questions on the terminal of the process, whatever its standard
// streams are connected to.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"
)

// Is says whether f is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ErrNone means that there is no terminal to ask on.
var ErrNone = errors.New("no terminal to ask on")

// ErrTooLong means that an answer may have been cut: terminals keep that much of a
// line and drop the rest without a word.
var ErrTooLong = fmt.Errorf("the answer has more than %d bytes, and a terminal may have cut it", maxLine)

const maxLine = 1000 // macOS keeps 1024 bytes of a line, Linux 4096

// Ask writes question to the terminal and returns the line that is typed, hidden if
// so asked. When ctx ends it puts the terminal back as it was and returns.
func Ask(ctx context.Context, question string, hidden bool) ([]byte, error) {
	in, out, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer out.Close()
	defer in.Close()
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if _, err := out.WriteString(question); err != nil {
		return nil, err
	}
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		if hidden {
			a.line, a.err = term.ReadPassword(fd)
		} else {
			a.line, a.err = readLine(in)
		}
		answered <- a
	}()
	select {
	case <-ctx.Done():
		term.Restore(fd, before)
		out.WriteString("\n")
		return nil, ctx.Err()
	case a := <-answered:
		if hidden {
			out.WriteString("\n")
		}
		switch {
		case a.err != nil:
			return nil, fmt.Errorf("reading the terminal: %w", a.err)
		case len(a.line) > maxLine:
			return nil, ErrTooLong
		}
		return a.line, nil
	}
}

// readLine reads byte by byte: what follows the line is not ours.
func readLine(f *os.File) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := f.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return line, nil
		case n == 1 && b[0] != '\r':
			line = append(line, b[0])
		case err != nil:
			return nil, err
		}
	}
}
