package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

// mirrorName is the name of the store of the matrix that is a directory with a mirror.
const mirrorName = "mirror"

// mirrorFaults is a directory that is mirrored to COS. The requests of COS meet the faults.
type mirrorFaults struct {
	*cosFaults
	dir string
}

func newMirrorFaults(t *testing.T, worker int) *mirrorFaults {
	return &mirrorFaults{newCOSFaults(t, worker, "Enabled"), t.TempDir()}
}

func (m *mirrorFaults) url() string {
	return "file://" + filepath.ToSlash(m.dir) + "?versions=50"
}

func (m *mirrorFaults) wrap(s *vault.Store) *vault.Store { return s }

// config writes the configuration of a home, and returns the variables that select it.
func (m *mirrorFaults) config(h *faultHome) map[string]string {
	file := filepath.Join(h.dir, "config.toml")
	text := fmt.Sprintf("[profiles.m]\nstore = %q\nmirrors = [%q]\nseen = %q\n", m.url(), m.cosFaults.url(), filepath.Join(h.dir, "seen"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.fatalf("%v", err)
	}
	return map[string]string{"OBJECTVAULT_CONFIG": file, "OBJECTVAULT_PROFILE": "m", "OBJECTVAULT_STORE": ""}
}

// mirrorOps are the operations whose changes go to the mirror.
var mirrorOps = []*faultOp{
	{name: "put small", every: 7, old: true, reads: true, args: func(*faultHome) []string { return []string{"put", "openai"} }, check: (*faultHome).checkMirrored},
	{name: "put multipart", every: 29, old: true, size: multipartSize, reads: true, args: func(*faultHome) []string { return []string{"put", "openai"} }, check: (*faultHome).checkMirrored},
	{name: "create", every: 11, reads: true, args: func(*faultHome) []string { return []string{"put", "openai", "--create"} }, check: (*faultHome).checkMirrored},
	{name: "rotate --revoke", every: 13, old: true, mints: true, args: func(h *faultHome) []string { return rotateArgs(h, "--revoke", revoker) }, check: func(h *faultHome, r ran, k faultKind) cellEnd {
		if k == spoolFull {
			return h.checkNotMinted(r)
		}
		if !bytes.Equal(h.revoked, h.old) {
			h.errorf("the old value was not revoked: %v", r)
		}
		return h.checkMirrored(r, k)
	}},
	{name: "delete", every: 7, old: true, args: func(*faultHome) []string { return []string{"rm", "openai"} }, check: (*faultHome).checkMirrored},
	{name: "rewrap", every: 13, old: true, setup: addKey, args: rewrapArgs, check: (*faultHome).checkMirrored},
}

// checkMirrored checks an operation whose primary store is available, after the mirror is available again.
func (h *faultHome) checkMirrored(r ran, _ faultKind) cellEnd {
	want := h.secret
	switch h.c.op.name {
	case "rewrap":
		want = h.old
	case "delete":
		want = nil
	}
	if r.code != exitOK {
		h.errorf("the primary store was available: %v", r)
	}
	if v := h.value(); string(v) != string(want) {
		h.errorf("the primary store has %d bytes, want %d: %v", len(v), len(want), r)
	}
	if s := h.vault(nil, "sync"); s.code != exitOK {
		h.errorf("after %v\nthe mirror is back: %v", r, s)
	}
	if rows := h.spooled(); len(rows) > 0 {
		h.errorf("after a sync the spools have %v", rows)
	}
	all := h.vault(nil, "get", "openai", "--all")
	if want == nil && all.code != exitNotFound || want != nil && (all.code != exitOK || strings.Count(all.out, "newest\t") != 2) {
		h.errorf("after %v\nand a sync the stores differ: %v", r, all)
	}
	if strings.Contains(r.err, "does not have the change yet") {
		return saved
	}
	return ended
}
