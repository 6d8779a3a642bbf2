// Package terminal asks questions on the terminal of the process, whatever its standard
// streams are connected to.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// Is reports whether f is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ErrNone means that there is no terminal to ask on.
var ErrNone = errors.New("no terminal to ask on")

// ErrTooLong means that the answer is longer than anybody types.
var ErrTooLong = fmt.Errorf("the answer has more than %d bytes", maxLine)

const maxLine = 64 << 10

// Ask writes question to the terminal and returns the line that is typed, hidden if
// so asked. ^C is [context.Canceled]. However Ask ends, also with ctx, the terminal is
// as it was before.
func Ask(ctx context.Context, question string, hidden bool) ([]byte, error) {
	in, out, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer out.Close()
	defer in.Close()
	read := readLine
	if hidden {
		// Before the question is shown, so that nothing that is typed after it is. Raw,
		// since a terminal that edits lines drops what is longer than 1 or 4 KiB without
		// a word, and because term.ReadPassword, which cannot be interrupted, would hide
		// the terminal again after it was put back.
		before, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNone, err)
		}
		defer out.WriteString("\n")
		defer term.Restore(int(in.Fd()), before)
		read = readHidden
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
		line, err := read(in)
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answered:
		return a.line, a.err
	}
}

// readLine reads a line that the terminal has edited, byte by byte: what follows the
// line is not ours.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return line, nil
		case n == 1 && b[0] != '\r':
			line = append(line, b[0])
		case err != nil:
			return nil, err
		}
		if len(line) > maxLine {
			return nil, ErrTooLong
		}
	}
}

// What the keys of a raw terminal send.
const (
	ctrlC     = 3
	ctrlD     = 4
	ctrlH     = 8
	ctrlU     = 21
	backspace = 127
)

// readHidden reads a line from a terminal that edits nothing.
func readHidden(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if n == 0 && err != nil {
			return nil, err
		}
		switch {
		case n == 0:
		case b[0] == '\n' || b[0] == '\r':
			return line, nil
		case b[0] == ctrlC:
			return nil, context.Canceled
		case b[0] == ctrlD && len(line) == 0:
			return nil, io.EOF
		case b[0] == ctrlD:
			return line, nil
		case b[0] == backspace || b[0] == ctrlH:
			_, size := utf8.DecodeLastRune(line)
			line = line[:len(line)-size]
		case b[0] == ctrlU:
			line = line[:0]
		default:
			line = append(line, b[0])
		}
		if len(line) > maxLine {
			return nil, ErrTooLong
		}
	}
}
