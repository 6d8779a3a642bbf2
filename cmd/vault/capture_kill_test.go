//go:build !windows

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestKillCapture: if vault is killed, the output that the program printed before is sealed on this
// machine. It can be read, but is never sent.
func TestKillCapture(t *testing.T) {
	h := newHome(t)
	spool := []string{"--spool", filepath.Join(h.dir, ".local/state/objectvault/spool")}
	cmd := h.command(append([]string{"capture", "a"}, append(spool, "--", "sh", "-c", "echo sk-paid-for; cat")...)...)
	stdin, err := cmd.StdinPipe() // closing it ends the program
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listed := ""
	for range 500 { // each try starts a process
		if listed, _ = h.run(nil, 0, append([]string{"spool", "ls"}, spool...)...); listed != "" {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	id, rest, _ := strings.Cut(listed, "\t")
	if !strings.HasPrefix(rest, "a\taside") {
		t.Fatalf("spool ls: %q", listed)
	}
	if value, _ := h.run(nil, 0, append([]string{"spool", "get", id}, spool...)...); value != "sk-paid-for\n" {
		t.Errorf("spool get wrote %q", value)
	}
	h.run(nil, 0, append([]string{"sync"}, spool...)...)
	h.run(nil, exitNotFound, "get", "a")
	if out.Len() > 0 {
		t.Errorf("capture showed %q before it stored the secret", &out)
	}
}
