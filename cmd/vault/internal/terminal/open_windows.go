package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

func open() (in, out *os.File, err error) {
	if in, err = os.OpenFile("CONIN$", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// Escapes reports whether f is a terminal that interprets escape sequences. An old console does only
// after it was asked to.
func Escapes(f *os.File) bool {
	const processing = windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	var mode uint32
	if windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) != nil {
		return false
	}
	return mode&processing != 0 || windows.SetConsoleMode(windows.Handle(f.Fd()), mode|processing) == nil
}
