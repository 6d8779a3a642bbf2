package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// onTerminal runs a command on a pseudo-terminal and acts as the user:
//
//	tty CODE STREAMS DIALOG COMMAND [ARG…]
//
// STREAMS lists the streams that are connected to the terminal: any of i, o, e, or "-" for none. The
// terminal is the controlling terminal in any case. DIALOG is a file with these lines: "? TEXT" waits
// until the terminal shows TEXT, "> TEXT" types a line, "^ C" presses control and C, "!" sends SIGTERM.
// Afterwards stderr is the output on the terminal, and stdout is the output on a stdout that is not the
// terminal. When the command has ended, the terminal must echo again.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: tty CODE STREAMS DIALOG COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	program := args[3]
	if !strings.Contains(program, "/") {
		program = lookPath(ts.Getenv("PATH"), program)
	}
	cmd := exec.Command(program, args[4:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range []string{"HOME", "PATH", "GORACE", "OBJECTVAULT_STORE", "OBJECTVAULT_TENANT", "OBJECTVAULT_KEYS"} {
		if v := ts.Getenv(key); v != "" {
			cmd.Env = append(cmd.Env, key+"="+v)
		}
	}
	screen, stdout, err := converse(cmd, args[1], ts.ReadFile(args[2]))
	ts.Stdout().Write(stdout)
	ts.Stderr().Write(screen)
	checkExit(ts, want, err)
}

func lookPath(path, program string) string {
	for _, dir := range filepath.SplitList(path) {
		if full := filepath.Join(dir, program); syscall.Access(full, 1) == nil {
			return full
		}
	}
	return program
}

// converse runs cmd. It returns the output on the terminal, any other output on stdout, and the error
// of the command.
func converse(cmd *exec.Cmd, streams, dialog string) (screen, stdout []byte, err error) {
	ctrl, tty, err := openTerminal()
	if err != nil {
		return nil, nil, err
	}
	defer ctrl.Close()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	for _, c := range streams {
		switch c {
		case 'i':
			cmd.Stdin = tty
		case 'o':
			cmd.Stdout = tty
		case 'e':
			cmd.Stderr = tty
		}
	}
	cmd.ExtraFiles = []*os.File{tty}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	if err := cmd.Start(); err != nil {
		tty.Close()
		return nil, nil, err
	}
	tty.Close()
	shown := make(chan []byte)
	go func() {
		defer close(shown)
		for buf := make([]byte, 4096); ; {
			n, err := ctrl.Read(buf)
			if n > 0 {
				shown <- bytes.Clone(buf[:n])
			}
			if err != nil {
				return // EIO: no process has the terminal open
			}
		}
	}()
	timeout := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timeout.Stop()
	seen := 0 // the end of the last text that the dialog waited for
	for lines := bufio.NewScanner(strings.NewReader(dialog)); lines.Scan(); {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "?":
			for !bytes.Contains(screen[seen:], []byte(text)) {
				more, ok := <-shown
				if !ok {
					cmd.Wait()
					return screen, out.Bytes(), fmt.Errorf("the terminal never showed %q; its output was %q", text, screen)
				}
				screen = append(screen, more...)
			}
			seen += bytes.Index(screen[seen:], []byte(text)) + len(text)
		case ">":
			if err := whenHidden(ctrl, text); err != nil {
				return screen, nil, err
			}
		case "!":
			cmd.Process.Signal(syscall.SIGTERM)
		case "^":
			io.WriteString(ctrl, string(text[0]-'A'+1))
		}
	}
	for more := range shown {
		screen = append(screen, more...)
	}
	err = cmd.Wait()
	if state, terr := unix.IoctlGetTermios(int(ctrl.Fd()), unix.TCGETS); terr != nil || state.Lflag&unix.ECHO == 0 {
		return screen, out.Bytes(), fmt.Errorf("the terminal was left without echo, %v", terr)
	}
	return append(screen, errs.Bytes()...), out.Bytes(), err
}

// whenHidden types a line. If the line starts with "hidden ", it removes that word and waits until the
// terminal has stopped echoing, because a test is faster than a person.
func whenHidden(ctrl *os.File, text string) error {
	line, hidden := strings.CutPrefix(text, "hidden ")
	for deadline := time.Now().Add(30 * time.Second); hidden; {
		state, err := unix.IoctlGetTermios(int(ctrl.Fd()), unix.TCGETS)
		if err != nil {
			return err
		}
		if state.Lflag&unix.ECHO == 0 {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the terminal goes on echoing")
		}
		time.Sleep(time.Millisecond) // the system reports no event for this
	}
	_, err := io.WriteString(ctrl, line+"\n")
	return err
}

func openTerminal() (ctrl, tty *os.File, err error) {
	if ctrl, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(ctrl.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return ctrl, tty, err
}
