//go:build !windows

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startBlocked starts a command whose program reads the file pipe, and returns when the program has opened
// it. The program waits until the test ends.
func (h home) startBlocked(cmd *exec.Cmd) {
	h.t.Helper()
	pipe := filepath.Join(h.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the pipe is read
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { w.Close() })
}

// killWithSpool kills a command when the spool has a number of entries, and returns the list of the spool.
func (h home) killWithSpool(cmd *exec.Cmd, entries int) (listed string) {
	h.t.Helper()
	for range 500 { // each try starts a process
		out, _ := h.command("spool", "ls").Output() // it fails until there is a spool
		if listed = string(out); strings.Count(listed, "\n") == entries {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return listed
}

// TestKillCapture: if vault is killed, the output that the program printed before is sealed on this
// machine. It can be read, but is never sent.
func TestKillCapture(t *testing.T) {
	h := newHome(t)
	cmd := h.command("capture", "a", "--", "sh", "-c", "echo sk-paid-for; cat pipe")
	var out bytes.Buffer
	cmd.Stdout = &out
	h.startBlocked(cmd)
	listed := h.killWithSpool(cmd, 1)
	id, rest, _ := strings.Cut(listed, "\t")
	if !strings.HasPrefix(rest, "a\taside") {
		t.Fatalf("spool ls: %q", listed)
	}
	if value, _ := h.run(nil, 0, "spool", "get", id); value != "sk-paid-for\n" {
		t.Errorf("spool get wrote %q", value)
	}
	h.run(nil, 0, "sync")
	h.run(nil, exitNotFound, "get", "a")
	if out.Len() > 0 {
		t.Errorf("capture showed %q before it stored the secret", &out)
	}
}
