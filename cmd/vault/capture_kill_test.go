//go:build !windows

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKillCapture: if vault is killed, the output that the program printed before is sealed on this
// machine. It can be read, but is never sent.
func TestKillCapture(t *testing.T) {
	h := newHome(t)
	pipe := filepath.Join(h.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := h.command("capture", "a", "--", "sh", "-c", "echo sk-paid-for; cat pipe")
	cmd.Dir = h.dir
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the pipe is read
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	listed := ""
	for range 500 { // each try starts a process
		if listed, _ = h.run(nil, 0, "spool", "ls"); listed != "" {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
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
