package spool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// TestNotOpened: a store that cannot be opened, for example because the token belongs to another tenant, has
// refused no value. Sync asks once, not once for each name.
func TestNotOpened(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	opens, failure := 0, fmt.Errorf("%w: connection refused", vault.ErrUnavailable)
	deferred := vault.Deferred("bucket", func(context.Context) (*vault.Store, error) {
		opens++
		return w.store, failure
	})
	v, err := vault.New(deferred, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []vault.Name{"a", "b", "c"} {
		if _, err := v.Put(t.Context(), name, strings.NewReader("value"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
	}
	failure = &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.TenantMismatch, Message: "the token belongs to another tenant", Effect: vault.Refused}
	opens = 0
	sum, err := s.Sync(t.Context(), v, &spool.SyncOptions{Jobs: 1})
	if err != nil || sum.Pending != 3 || sum.Refused != 0 || !errors.Is(sum.Cause, vault.ErrPermission) || opens != 1 {
		t.Errorf("sync: %+v, %v, the store was opened %d times", sum, err, opens)
	}
	failure = nil
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 3 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
}

// TestOtherCaller: a command that may not write, or has other settings, refuses no saved value. A value that
// its own Put may not write is refused, unless it waits for an older one.
func TestOtherCaller(t *testing.T) {
	for what, failure := range map[string]error{
		"denied":           &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.AccessDenied, Effect: vault.Refused},
		"the wrong region": &vault.Cause{Sentinel: vault.ErrConfig, Reason: vault.WrongRegion, Effect: vault.Refused},
		"no bucket":        &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.NoBucket, Effect: vault.Refused},
	} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		pend(t, w, v, "a", "one")
		w.away(failure)
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Pending != 1 || sum.Refused != 0 || !errors.Is(sum.Cause, failure) {
			t.Errorf("%s: sync: %+v, %v", what, sum, err)
		}
		var spooled *vault.SpooledError
		if _, err := v.Put(t.Context(), "b", strings.NewReader("other"), nil); !errors.As(err, &spooled) || !spooled.Refused {
			t.Errorf("%s: put: %v", what, err)
		}
		if _, err := v.Put(t.Context(), "a", strings.NewReader("two"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Errorf("%s: put after the older value: %v", what, err)
		}
		w.away(nil)
		w.wantValue(v, "a", "two", true)
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 || sum.Refused != 1 {
			t.Errorf("%s: sync: %+v, %v", what, sum, err)
		}
		w.wantValue(v, "a", "two", false)
	}
}

// An otherSource is a key source of another command.
type otherSource struct {
	envelope.KeySource
	err error
}

func (o *otherSource) Wrap(context.Context, envelope.Ref, []byte, envelope.AAD) (envelope.Stanza, error) {
	return envelope.Stanza{}, o.err
}

// TestOtherKeys: a command whose key source is not enrolled, has changed or is another one refuses no value
// that waits for a key source.
func TestOtherKeys(t *testing.T) {
	for _, failure := range []error{envelope.ErrNotEnrolled, envelope.ErrChanged, envelope.ErrUnknownKey} {
		w := newWorld(t)
		s := w.spool(nil)
		put(t, w.vault(nil), "a", "before")
		other := &otherSource{w.keys[0], fmt.Errorf("%w: the signer", envelope.ErrUnavailable)}
		right := w.keys
		w.keys = []envelope.KeySource{other}
		v := w.vault(s)
		if _, err := v.Put(t.Context(), "a", strings.NewReader("value"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
		other.err = fmt.Errorf("%w: the signer", failure)
		if failure == envelope.ErrUnknownKey {
			key, _, err := kek.CreateFile(filepath.Join(t.TempDir(), "key"))
			if err != nil {
				t.Fatal(err)
			}
			w.keys = []envelope.KeySource{key}
			v = w.vault(s)
		}
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Pending != 1 || sum.Refused != 0 || !errors.Is(sum.Cause, failure) {
			t.Errorf("%v: sync: %+v, %v", failure, sum, err)
		}
		w.keys = right
		if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != 1 {
			t.Errorf("%v: sync with the right key: %+v, %v", failure, sum, err)
		}
	}
}
