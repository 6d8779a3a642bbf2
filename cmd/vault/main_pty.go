//go:build !windows

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// withTerminal returns functions that start cmd with a terminal of its own, and wait for it. Its output
// goes to out. What is typed goes to the program, which also decides about ^C.
func withTerminal(cmd *exec.Cmd, out io.Writer) (start, wait func() error) {
	var master *os.File
	var before *term.State
	resized := make(chan os.Signal, 1)
	start = func() (err error) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, nil, nil
		if master, err = pty.Start(cmd); err != nil {
			return err
		}
		if term.IsTerminal(int(os.Stdin.Fd())) {
			pty.InheritSize(os.Stdin, master)
			signal.Notify(resized, syscall.SIGWINCH)
			go func() {
				for range resized {
					pty.InheritSize(os.Stdin, master)
				}
			}()
			before, _ = term.MakeRaw(int(os.Stdin.Fd()))
		}
		go io.Copy(master, os.Stdin) // ends with the process: a read of a terminal cannot be cancelled
		return nil
	}
	wait = func() error {
		_, err := io.Copy(out, master)
		if errors.Is(err, syscall.EIO) {
			err = nil // Linux reports the end of the terminal like this
		}
		signal.Stop(resized)
		close(resized)
		if before != nil {
			term.Restore(int(os.Stdin.Fd()), before)
		}
		if werr := cmd.Wait(); werr != nil {
			err = werr
		}
		master.Close()
		return err
	}
	return start, wait
}
