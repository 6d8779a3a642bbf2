package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func TestInfo(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000, time.UTC)
	v := newVault(t, newStore(t), &vault.Options{Now: func() time.Time { return now }, VaultID: "v1", Collection: "notes"})
	o := &vault.PutOptions{ContentType: "text/plain", Expires: now.Add(time.Hour).Truncate(time.Second), Labels: map[string]string{"team": "red"}}
	stored := put(t, v, "a/b", "value", o)
	want := vault.Info{
		Name: "a/b", Tenant: "0xabc", Collection: "notes", Revision: now.UnixMicro(), Size: 5,
		SealedSize: stored.SealedSize, ContentType: "text/plain", Expires: o.Expires, Labels: o.Labels, Tag: stored.Tag,
		Version: stored.Version,
	}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	stat, err := v.Stat(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if stat.Modified.IsZero() {
		t.Error("stat returns no modification time")
	}
	want.Modified, want.Version = stat.Modified, "" // no version was requested
	if diff := cmp.Diff(want, stat); diff != "" {
		t.Errorf("stat (-want +got):\n%s", diff)
	}
	now = now.Add(time.Hour) // the object has expired, and can still be opened
	r, err := v.Get(t.Context(), "a/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if value, err := io.ReadAll(r); string(value) != "value" || err != nil || !r.Info().Expired {
		t.Errorf("get of an expired object = %q, %v, %+v", value, err, r.Info())
	}
	if stat, err := v.Stat(t.Context(), "a/b"); err != nil || !stat.Expired {
		t.Errorf("stat of an expired object = %+v, %v", stat, err)
	}
}

// TestMovedObject: an object that is copied to another name, collection or vault cannot be opened there.
func TestMovedObject(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	put(t, newVault(t, s, nil), "a", "value", nil)
	blob, err := s.Bucket.ReadAll(ctx, "bots/0xabc/credentials/a.enc")
	if err != nil {
		t.Fatal(err)
	}
	for key, open := range map[string]func() *vault.Vault{
		"bots/0xabc/credentials/b.enc": func() *vault.Vault { return newVault(t, s, nil) },
		"bots/0xabc/notes/a.enc":       func() *vault.Vault { return newVault(t, s, &vault.Options{Collection: "notes"}) },
		"bots/0xabc/credentials/a.enc": func() *vault.Vault { return newVault(t, s, &vault.Options{VaultID: "other"}) },
	} {
		if err := s.Bucket.WriteAll(ctx, key, blob, nil); err != nil {
			t.Fatal(err)
		}
		name := vault.Name(strings.TrimSuffix(key[strings.LastIndex(key, "/")+1:], ".enc"))
		if _, err := open().Get(ctx, name, nil); !errors.Is(err, envelope.ErrUnknownKey) {
			t.Errorf("%s opened elsewhere: %v, want ErrUnknownKey", key, err)
		}
	}
}

func closed(r *vault.Reader, err error) error {
	if err == nil {
		err = r.Close()
	}
	return err
}

func TestRange(t *testing.T) {
	v := newVault(t, newStore(t), nil)
	for _, size := range []int{0, 1, 65480, 65481, 200_000} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i * 7 >> 3)
		}
		name := vault.Name(fmt.Sprint("size-", size))
		put(t, v, name, string(value), nil)
		for _, r := range []vault.Range{
			{0, -1}, {0, 1}, {1, 1}, {65479, 3}, {65480, 1}, {65480 + 65520 - 1, 2}, {-1, -1}, {-5, 2}, {-1 << 40, -1}, {int64(size), -1}, {int64(size), 10},
			{int64(size) + 1000, 1}, {1 << 60, 1 << 60}, {0, 0}, {3, 0},
		} {
			from, to := r.Offset, int64(size)
			if from < 0 {
				from += int64(size)
			}
			from = min(max(from, 0), int64(size))
			if r.Length > 0 && r.Length < to-from {
				to = from + r.Length
			}
			if got := get(t, v, name, &vault.GetOptions{Range: &r}); got != string(value[from:to]) {
				t.Errorf("%d bytes, range %+v: got %d bytes, want %d", size, r, len(got), to-from)
			}
		}
	}
}

// TestCutBody: reading continues after a body was cut, makes at most five requests without a
// byte and some more with few bytes, and never ends early.
func TestCutBody(t *testing.T) {
	s := newStore(t)
	value := strings.Repeat("0123456789abcdef", 20_000)
	put(t, newVault(t, s, nil), "a", value, nil)
	for _, each := range []int64{70_000, 1000, 1, 0} {
		requests := 0
		v := newVault(t, intercept.Store(s, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
			requests++
			if requests%2 == 0 {
				return io.LimitReader(r, each) // ends early without an error
			}
			return io.MultiReader(io.LimitReader(r, each), iotest.ErrReader(io.ErrUnexpectedEOF))
		}}), nil)
		r, err := v.Get(t.Context(), "a", nil)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			r.Close()
		}
		if each == 0 {
			if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, envelope.ErrDecrypt) || requests != 6 {
				t.Errorf("a body without a byte: %v after %d requests, want ErrUnavailable after 6", err, requests)
			}
		} else if each <= 1000 {
			if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, envelope.ErrDecrypt) || requests < 20 || requests > 50 {
				t.Errorf("a body of %d bytes a request: %v after %d requests, want ErrUnavailable after about 32", each, err, requests)
			}
		} else if err != nil || string(got) != value {
			t.Errorf("%d bytes a request: %d bytes, %v", each, len(got), err)
		}
	}
}

// TestReplacedWhileReading: after a cut, a read continues with the same object or fails.
func TestReplacedWhileReading(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	put(t, plain, "a", strings.Repeat("old", 100_000), nil)
	first := true
	v := newVault(t, intercept.Store(s, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		if first {
			first = false
			put(t, plain, "a", strings.Repeat("new", 100_000), nil)
			return io.LimitReader(r, 70_000)
		}
		return r
	}}), nil)
	r, err := v.Get(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if !errors.Is(err, vault.ErrUnavailable) || bytes.Contains(got, []byte("new")) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A range is read again from its start and returns the new value.
	first = true
	v = newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		err := do()
		if first && c.Op == "get" {
			first = false
			put(t, plain, "a", strings.Repeat("NEW", 100_000), nil)
		}
		return err
	}}), nil)
	if got := get(t, v, "a", &vault.GetOptions{Range: &vault.Range{Offset: 150_000, Length: 3}}); got != "NEW" {
		t.Errorf("a range over a replaced object = %q", got)
	}
}
