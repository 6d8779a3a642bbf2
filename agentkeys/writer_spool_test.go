package agentkeys_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

// A fullSpool runs out of space after some bytes of an envelope.
type fullSpool struct {
	*spool.Spool
	space int
}

func (s *fullSpool) Add(ctx context.Context, e vault.SpoolEntry, fill func(io.Writer) error) (vault.Spooled, error) {
	return s.Spool.Add(ctx, e, func(w io.Writer) error { return fill(&fullWriter{w, s.space}) })
}

type fullWriter struct {
	w    io.Writer
	left int
}

func (f *fullWriter) Write(p []byte) (int, error) {
	if len(p) <= f.left {
		f.left -= len(p)
		return f.w.Write(p)
	}
	n, _ := f.w.Write(p[:f.left])
	f.left = 0
	return n, syscall.ENOSPC
}

func newSeen(t *testing.T) *seen.Log {
	t.Helper()
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestWriterFullSpool: a full disk of the spool does not stop a put that the store accepts.
func TestWriterFullSpool(t *testing.T) {
	for _, space := range []int{0, 50, 150} {
		for _, value := range []string{"sk-1", strings.Repeat("x", 200<<10)} {
			b := newBucket(t, nil)
			v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: &fullSpool{newSpool(t), space}})
			if _, err := v.Put(t.Context(), "openrouter", strings.NewReader(value), nil); err != nil {
				t.Errorf("space for %d bytes: %v", space, err)
			}
			if got, _ := b.clientReads(t, "openrouter"); got != value {
				t.Errorf("space for %d bytes: an agentKeys client reads %.20q", space, got)
			}
		}
	}
	b := newBucket(t, nil)
	v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: &fullSpool{newSpool(t), 50}})
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader(strings.Repeat("x", 3<<20)), nil); !errors.Is(err, vault.ErrLegacyLimit) {
		t.Errorf("a value that is too long: %v", err)
	}
}

// TestWriterOlderPending: a pending value does not replace a newer one that this machine has stored.
func TestWriterOlderPending(t *testing.T) {
	b := newBucket(t, nil)
	sp, log := newSpool(t), newSeen(t)
	open := func() *vault.Vault {
		return b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp, Seen: log})
	}
	b.fail["any bots/"] = vault.ErrUnavailable
	if _, err := open().Put(t.Context(), "a", strings.NewReader("older"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatal(err)
	}
	clear(b.fail)
	if _, err := open().Put(t.Context(), "a", strings.NewReader("newer"), &vault.PutOptions{Spool: vault.SpoolOff}); err != nil {
		t.Fatal(err)
	}
	if sum, err := sp.Sync(t.Context(), open(), nil); err != nil || sum.Refused != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	if got, _ := b.clientReads(t, "a"); got != "newer" {
		t.Errorf("an agentKeys client reads %q", got)
	}
}

// TestWriterOtherEntries: a value that the format cannot express waits for a vault that stores envelopes.
func TestWriterOtherEntries(t *testing.T) {
	for label, put := range map[string]struct {
		name  vault.Name
		value string
		o     *vault.PutOptions
	}{
		"labels": {"a", "x", &vault.PutOptions{Labels: map[string]string{"env": "prod"}}},
		"a name": {"team/x", "x", nil},
		"a size": {"a", strings.Repeat("x", agentkeys.MaxValue+1), nil},
	} {
		b := newBucket(t, nil)
		sp := newSpool(t)
		envelopes := b.open(t, wallet, &vault.Options{Spool: sp})
		b.fail["any bots/"] = vault.ErrUnavailable
		if _, err := envelopes.Put(t.Context(), put.name, strings.NewReader(put.value), put.o); !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
		clear(b.fail)
		if sum, err := sp.Sync(t.Context(), b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp}), nil); err != nil || sum.Pending != 1 || sum.Refused != 0 {
			t.Errorf("%s: sync by a vault that stores objects of agentKeys: %+v, %v", label, sum, err)
		}
		if sum, err := sp.Sync(t.Context(), envelopes, nil); err != nil || sum.Sent != 1 {
			t.Errorf("%s: sync by a vault that stores envelopes: %+v, %v", label, sum, err)
		}
		got, info, err := get(t, envelopes, put.name, nil)
		if err != nil || got != put.value || info.Legacy != "" || put.o != nil && info.Labels["env"] != "prod" {
			t.Errorf("%s: get: %d bytes, %+v, %v", label, len(got), info, err)
		}
	}
}

// TestWriterRunningProcess: a process that has stored an envelope reads what another process of the machine
// stores for agentKeys.
func TestWriterRunningProcess(t *testing.T) {
	b := newBucket(t, nil)
	log := newSeen(t)
	running := b.open(t, wallet, &vault.Options{Seen: log})
	if _, err := running.Put(t.Context(), "a", strings.NewReader("an envelope"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Seen: log}).Put(t.Context(), "a", strings.NewReader("new"), nil); err != nil {
		t.Fatal(err)
	}
	if got, _, err := get(t, running, "a", nil); err != nil || got != "new" {
		t.Errorf("get: %q, %v", got, err)
	}
	if err := b.raw.WriteAll(t.Context(), walletPrefix+"a.enc", sealedBy(t, agentkeys.V1, "a", "of the client"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.raw.Delete(t.Context(), walletPrefix+"a.enc"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, running, "a", nil); !errors.Is(err, vault.ErrNotFound) || !strings.Contains(err.Error(), "an object of agentKeys") {
		t.Errorf("get of a removed object: %v", err)
	}
}

// TestWriterFollowUp: after a lost response, the next attempt does not replace a newer object of a client.
func TestWriterFollowUp(t *testing.T) {
	for _, writes := range []bool{false, true} {
		t.Run(fmt.Sprint("writes ", writes), func(t *testing.T) {
			b := newBucket(t, nil)
			b.Store.History = nil // it would show that our object was stored
			o := &vault.Options{Now: func() time.Time { return time.Now().Add(-time.Second) }}
			v := b.open(t, wallet, o)
			if writes {
				v = b.openWriter(t, agentkeys.V1, wallet, o)
			}
			puts, written := 0, false
			b.before = func(c intercept.Call) {
				b.lost = false
				switch {
				case c.Op == "put":
					puts++
					b.lost = puts == 1
				case c.Op == "get" && puts == 1 && !written && strings.HasPrefix(c.Key, walletPrefix):
					written = true
					b.raw.WriteAll(t.Context(), walletPrefix+"a.enc", sealedBy(t, agentkeys.V1, "a", "newer"), nil)
				}
			}
			_, err := v.Put(t.Context(), "a", strings.NewReader("ours"), nil)
			b.before, b.lost = nil, false
			if got, _ := b.clientReads(t, "a"); !written || got != "newer" || !errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put: %v; an agentKeys client reads %q", err, got)
			}
		})
	}
}

// TestAppliedInfo: an entry that was stored before is described as the object of agentKeys that it is.
func TestAppliedInfo(t *testing.T) {
	b := newBucket(t, nil)
	sp := newSpool(t)
	v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp})
	b.lost = true
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatal(err)
	}
	b.lost = false
	n := 0
	each := func(r spool.Result) {
		if n++; r.Info.Legacy != "v1" || r.Info.Revision != 0 || r.Info.Tag != "" {
			t.Errorf("%+v", r.Info)
		}
	}
	if _, err := sp.Sync(t.Context(), v, &spool.SyncOptions{Each: each}); err != nil || n != 1 {
		t.Errorf("%d results, %v", n, err)
	}
}
