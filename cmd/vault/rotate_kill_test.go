//go:build !windows

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKillRotate: if vault is killed while the program of rotate or the command of --revoke runs, the
// store has one of the two values, and the other one can be read from the spool.
func TestKillRotate(t *testing.T) {
	for name, tc := range map[string]struct {
		revoke, program string // of which one waits for the pipe
		current         string
		aside           map[string]string // values in the spool, by the start of their reason
	}{
		"program": {"true", "echo sk-new-1; cat pipe", "sk-old", map[string]string{"output of a program": "sk-new-1\n", maybeOldReason: "sk-old"}},
		"revoke":  {"cat pipe", "echo sk-new-1", "sk-new-1", map[string]string{oldValueReason: "sk-old"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.run(strings.NewReader("sk-old"), 0, "put", "a")
			cmd := h.command("rotate", "a", "--revoke", tc.revoke, "--", "sh", "-c", tc.program)
			h.startBlocked(cmd)
			listed := h.killWithSpool(cmd, len(tc.aside))
			for reason, want := range tc.aside {
				id := ""
				for line := range strings.Lines(listed) {
					if columns := strings.Split(line, "\t"); strings.HasPrefix(columns[len(columns)-1], reason) {
						id = columns[0]
					}
				}
				if id == "" {
					t.Fatalf("no entry with the reason %q:\n%s", reason, listed)
				}
				if value, _ := h.run(nil, 0, "spool", "get", id); value != want {
					t.Errorf("spool get wrote %q, want %q", value, want)
				}
			}
			h.run(nil, 0, "sync")
			if value, _ := h.run(nil, 0, "get", "a"); value != tc.current {
				t.Errorf("the store has %q, want %q", value, tc.current)
			}
		})
	}
}

// TestInterruptRotate: if vault is interrupted while the program runs, and the program prints the secret
// all the same, it is stored. The old value is not revoked, and stays on this machine.
func TestInterruptRotate(t *testing.T) {
	h := newHome(t)
	h.run(strings.NewReader("sk-old"), 0, "put", "a")
	program := "trap 'echo sk-new; exit 0' INT; cat pipe > output 2>&1 & wait"
	cmd := h.command("rotate", "a", "--revoke", "touch revoked", "--", "sh", "-c", program)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	h.startBlocked(cmd)
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(errs.String(), "rotate a: interrupted; the secret was stored; the old value was not revoked; vault spool get ") {
		t.Errorf("exit code %d, %s", code, &errs)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "revoked")); err == nil {
		t.Error("the old value was revoked")
	}
	if value, _ := h.run(nil, 0, "get", "a"); value != "sk-new" {
		t.Errorf("the store has %q", value)
	}
	listed, _ := h.run(nil, 0, "spool", "ls")
	id, _, _ := strings.Cut(listed, "\t")
	if value, _ := h.run(nil, 0, "spool", "get", id); value != "sk-old" {
		t.Errorf("spool get wrote %q", value)
	}
}
