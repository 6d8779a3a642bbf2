package vault_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// failWrites returns a store whose first writes fail with errs.
func failWrites(s *vault.Store, errs ...error) *vault.Store {
	return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if (c.Op == "put" || c.Op == "create" || c.Op == "swap") && len(errs) > 0 {
			err := errs[0]
			errs = errs[1:]
			return err
		}
		return do()
	}})
}

// Errors of an upload of 5 MB that could not be aborted.
var (
	errLeftAborted  = &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.UploadAborted, Effect: vault.NotApplied, Unfinished: 5_000_000}
	errLeftExists   = &vault.Cause{Sentinel: vault.ErrExist, Effect: vault.Refused, Unfinished: 5_000_000}
	errLeftConflict = &vault.Cause{Sentinel: vault.ErrConflict, Effect: vault.Refused, Unfinished: 5_000_000}
	errLeftSource   = &vault.Cause{Sentinel: &vault.SourceError{Err: io.ErrUnexpectedEOF}, Effect: vault.NotApplied, Unfinished: 5_000_000}
	errLeftDenied   = &vault.Cause{Sentinel: vault.ErrPermission, Effect: vault.Refused, Unfinished: 5_000_000}
)

// TestCopyUnfinished: the uploads of all attempts that could not be aborted are reported with the copy, or
// else in its error.
func TestCopyUnfinished(t *testing.T) {
	for _, tc := range []struct {
		name   string
		mode   vault.CopyMode
		errs   []error
		status vault.CopyStatus
		want   int64
	}{
		{"a second attempt", vault.CopyMissing, []error{errLeftAborted}, vault.CopyCopied, 5_000_000},
		{"other writers", vault.CopyMissing, []error{errLeftExists, errLeftAborted}, vault.CopyCopied, 10_000_000},
		{"a server without conditions", vault.CopyNewer, []error{errLeftConflict}, vault.CopyCopied, 5_000_000},
		{"a failure", vault.CopyMissing, []error{errLeftExists, errLeftDenied}, vault.CopyFailed, 10_000_000},
		{"a failure of the source", vault.CopyMissing, []error{errLeftSource}, vault.CopyFailed, 5_000_000},
		{"a failure after another writer", vault.CopyMissing, []error{errLeftExists, vault.ErrPermission}, vault.CopyFailed, 5_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := newStore(t), newStore(t)
			if tc.mode == vault.CopyNewer {
				put(t, newVault(t, b, nil), "x", "old", nil)
			}
			src := newVault(t, a, nil)
			put(t, src, "x", "v", nil)
			n := 0
			for c, err := range vault.Copy(t.Context(), newVault(t, failWrites(b, tc.errs...), nil), src, &vault.CopyOptions{Mode: tc.mode}) {
				if n++; err != nil {
					t.Fatal(err)
				}
				var cause *vault.Cause
				var side *vault.CopyError
				got := c.Unfinished
				if errors.As(c.Err, &side) && errors.As(c.Err, &cause) && got == 0 && side.Source == errors.Is(c.Err, io.ErrUnexpectedEOF) {
					got = cause.Unfinished
				}
				if c.Status != tc.status || got != tc.want {
					t.Errorf("%+v, %d bytes are unfinished, want %s, %d", c, got, tc.status, tc.want)
				}
			}
			if n != 1 {
				t.Errorf("%d results", n)
			}
		})
	}
}

// TestRewrapUnfinished: the uploads of all attempts that could not be aborted are reported with the result.
func TestRewrapUnfinished(t *testing.T) {
	for _, tc := range []struct {
		name   string
		size   int
		splice error
		errs   []error
		want   int64
	}{
		{"a second attempt", 64, nil, []error{errLeftAborted}, 5_000_000},
		{"a server without conditions", 64, nil, []error{errLeftConflict}, 5_000_000},
		{"a server without copies", 17 << 20, &vault.Cause{Sentinel: vault.ErrUnsupported, Effect: vault.Refused, Unfinished: 6_000_000}, []error{errLeftAborted}, 11_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := recipient("a"), recipient("b")
			s := newStore(t)
			put(t, vaultFor(t, s, nil, a), "x", strings.Repeat("x", tc.size), nil)
			if tc.splice != nil {
				s.Splice = refusing{tc.splice}
			}
			r, err := vaultFor(t, failWrites(s, tc.errs...), nil, a).Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{b}, NoOtherWriters: true})
			if err != nil || !r.Changed || r.Unfinished != tc.want {
				t.Errorf("rewrap: %+v, %v, want %d bytes unfinished", r, err, tc.want)
			}
			_, err = vaultFor(t, failWrites(s, errLeftSource), nil, a, b).Rotate(t.Context(), "x", nil)
			var cause *vault.Cause
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &cause) || cause.Unfinished != 5_000_000 {
				t.Errorf("rotate, while the source fails: %v", err)
			}
			info, err := vaultFor(t, failWrites(s, errLeftConflict), nil, a, b).Rotate(t.Context(), "x", &vault.RotateOptions{NoOtherWriters: true})
			if err != nil || info.Unfinished != 5_000_000 {
				t.Errorf("rotate: %+v, %v", info, err)
			}
		})
	}
}

// TestMirrorUnfinished: the uploads that could not be aborted in a mirror are reported with the Put, or when
// the mirror gets the change later.
func TestMirrorUnfinished(t *testing.T) {
	m := newMirrored(t, nil)
	store := m.mirror.store
	fail := func(errs ...error) {
		m.mirror.store = failWrites(store, errs...)
		m.Vault = m.again(t)
	}
	fail(errLeftAborted)
	if info, err := m.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil || info.Unfinished != 5_000_000 || len(m.behind) != 0 {
		t.Errorf("put: %+v, %v, behind %+v", info, err, m.behind)
	}
	m.want(t, "a", "1", "1")

	m.mirror.away.Store(true)
	put(t, m.Vault, "a", "2", nil)
	m.mirror.away.Store(false)
	fail(errLeftAborted)
	sent := int64(0)
	sum, err := m.mirror.spool.Sync(t.Context(), m.mirror.vault, &spool.SyncOptions{Each: func(r spool.Result) { sent += r.Info.Unfinished }})
	if err != nil || sum.Sent != 1 || sent != 5_000_000 {
		t.Errorf("sync: %+v, %v, %d bytes are unfinished", sum, err, sent)
	}
	m.want(t, "a", "2", "2")

	put(t, newVault(t, m.primary.inner, nil), "a", "3", nil) // on another machine, without the mirror
	fail(errLeftAborted)
	for r, err := range m.Repair(t.Context(), nil) {
		if err != nil || r.Status != vault.CopyCopied || r.Unfinished != 5_000_000 {
			t.Errorf("repair: %+v, %v", r, err)
		}
	}
	m.want(t, "a", "3", "3")

	m.options.Mirror.Quorum = 1
	fail(errLeftAborted)
	m.primary.away.Store(true)
	if info, err := m.Put(t.Context(), "b", strings.NewReader("1"), nil); err != nil || info.Unfinished != 5_000_000 {
		t.Errorf("put without the primary store: %+v, %v", info, err)
	}
	m.want(t, "b", "none", "1")
}

// TestDeliverToMirrors: Deliver reports what it could not abort in a mirror.
func TestDeliverToMirrors(t *testing.T) {
	m := newMirrored(t, nil)
	m.primary.away.Store(true)
	if _, err := m.Put(t.Context(), "a", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatal(err)
	}
	m.primary.away.Store(false)
	m.mirror.store = failWrites(m.mirror.store, errLeftAborted)
	m.Vault = m.again(t)
	sent := int64(0)
	sum, err := m.primary.spool.Sync(t.Context(), m.Vault, &spool.SyncOptions{Each: func(r spool.Result) { sent += r.Info.Unfinished }})
	if err != nil || sum.Sent != 1 || sent != 5_000_000 {
		t.Errorf("sync: %+v, %v, %d bytes are unfinished", sum, err, sent)
	}
	m.want(t, "a", "1", "1")
}
