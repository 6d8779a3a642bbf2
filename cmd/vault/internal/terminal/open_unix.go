//go:build !windows

package terminal

import "os"

func open() (in, out *os.File, err error) {
	if in, err = os.OpenFile("/dev/tty", os.O_RDONLY, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile("/dev/tty", os.O_WRONLY, 0); err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// Escapes reports whether f is a terminal that interprets escape sequences, as far as the system knows.
func Escapes(f *os.File) bool { return Is(f) }
