// Package terminal asks questions on the terminal of the process, even if the standard streams are
// redirected.
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

// ErrNone means that the process has no terminal.
var ErrNone = errors.New("there is no terminal for the prompt")

// ErrTooLong means that the typed line is too long.
var ErrTooLong = fmt.Errorf("the typed line has more than %d bytes", maxLine)

const maxLine = 64 << 10

// Ask writes question to the terminal and returns the line that the user types. If hidden is true,
// the terminal does not show it. ^C returns [context.Canceled]. Ask always restores the state of
// the terminal, also if ctx ends.
func Ask(ctx context.Context, question string, hidden bool) ([]byte, error) {
	in, out, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer out.Close()
	defer in.Close()
	read := readLine
	if hidden {
		// Change the mode before the question is shown, so that no typed character is shown. The
		// mode is raw, because a terminal that edits lines silently drops input after 1 or 4 KiB.
		// term.ReadPassword cannot be interrupted: it would change the mode of the terminal after
		// Ask has restored it.
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
	answers := make(chan answer, 1)
	go func() {
		line, err := read(in)
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answers:
		return a.line, a.err
	}
}

// readLine reads a line that the terminal has edited. It reads byte by byte, so that it does not
// consume the input after the line.
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

// The bytes that the keys of a raw terminal send.
const (
	ctrlC     = 3
	ctrlD     = 4
	ctrlH     = 8
	ctrlU     = 21
	backspace = 127
)

// readHidden reads a line from a raw terminal, and edits the line itself.
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
