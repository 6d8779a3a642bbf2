package vault_test

import (
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

// TestSourceFails: a write whose source fails stores nothing.
func TestSourceFails(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, size := range []int64{0, 10, 3 << 20} {
		for _, how := range []string{"put", "create", "swap"} {
			s := newStore(t)
			v := newVault(t, s, nil)
			o := &vault.PutOptions{Create: how == "create"}
			old := ""
			if how != "create" {
				old = "old"
				info := put(t, v, "a", old, nil)
				if how == "swap" {
					o.IfRevision = info.Revision
				}
			}
			check := func(what string) {
				t.Helper()
				if how == "create" {
					if _, err := v.Get(t.Context(), "a", nil); !errors.Is(err, vault.ErrNotFound) {
						t.Errorf("%s %s of %d bytes: something was stored: %v", what, how, size, err)
					}
				} else if got := get(t, v, "a", nil); got != old {
					t.Errorf("%s %s of %d bytes: the old value was replaced by %d bytes", what, how, size, len(got))
				}
			}
			value := func(last io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(zeros{}, size), last)
			}
			if _, err := v.Put(t.Context(), "a", value(iotest.ErrReader(broken)), o); !errors.Is(err, broken) || errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("failing %s of %d bytes: %v, want the source's own error", how, size, err)
			}
			check("failing")

			ctx, cancel := context.WithCancel(t.Context())
			if _, err := v.Put(ctx, "a", value(readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF })), o); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled %s of %d bytes: %v", how, size, err)
			}
			check("cancelled")

			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was swallowed")
					}
				}()
				v.Put(t.Context(), "a", value(readerFunc(func([]byte) (int, error) { panic("source") })), o)
			}()
			check("panicking")
			put(t, v, "a", "new", o) // no lock is left
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestClock: revisions grow even when the clock stands still or goes back.
func TestClock(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	s := newStore(t)
	v := newVault(t, s, &vault.Options{Now: func() time.Time { return now }})
	var got []int64
	for range 3 {
		got = append(got, put(t, v, "a", "x", nil).Revision)
	}
	now = now.Add(-time.Second / 2)
	got = append(got, put(t, v, "a", "x", nil).Revision)
	got = append(got, put(t, v, "b", "x", nil).Revision)
	if diff := cmp.Diff([]int64{1_000_000, 1_000_001, 1_000_002, 1_000_003, 500_000}, got); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	slow := newVault(t, s, &vault.Options{Now: func() time.Time { return now }})
	if _, err := slow.Stat(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if r := put(t, slow, "a", "x", nil).Revision; r != 1_000_004 {
		t.Errorf("a writer with a slow clock read revision 1000003 and wrote revision %d", r)
	}
}

// TestFilledTwice: a store that requests a streamed value twice gets an error, not the rest of
// the value.
func TestFilledTwice(t *testing.T) {
	s := newStore(t)
	twice := *s
	twice.Create = twiceCreator{s.Create}
	v := newVault(t, &twice, nil)
	for _, size := range []int64{10, 3 << 20} {
		name := vault.Name(fmt.Sprint("size-", size))
		_, err := v.Put(t.Context(), name, io.LimitReader(zeros{}, size), &vault.PutOptions{Create: true})
		if size == 10 {
			if err != nil || len(get(t, v, name, nil)) != 10 {
				t.Errorf("put of 10 bytes: %v", err)
			}
		} else if _, gerr := v.Get(t.Context(), name, nil); err == nil || !errors.Is(gerr, vault.ErrNotFound) {
			t.Errorf("put of a streamed value: %v, and then get: %v", err, gerr)
		}
	}
}

type twiceCreator struct{ vault.Creator }

func (c twiceCreator) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return c.Creator.Create(ctx, key, func(w io.Writer) error {
		if err := fill(io.Discard); err != nil {
			return err
		}
		return fill(w)
	})
}

// TestMetadataRefused: metadata that cannot be sealed is an error of the caller, not of the
// store.
func TestMetadataRefused(t *testing.T) {
	var rec recorder
	v := newVault(t, intercept.Store(newStore(t), rec.hooks()), nil)
	for _, size := range []int64{1, 3 << 20} {
		for _, o := range []*vault.PutOptions{
			{Labels: map[string]string{"k": strings.Repeat("v", 5000)}}, {Labels: map[string]string{"k": "\xff"}}, {ContentType: strings.Repeat("x", 256)},
		} {
			_, err := v.Put(t.Context(), "a", io.LimitReader(zeros{}, size), o)
			if !errors.Is(err, envelope.ErrInvalid) || errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("put with %.40v = %v, want ErrInvalid", o, err)
			}
			if calls := rec.take(); calls != nil {
				t.Errorf("refused after the requests %q", calls)
			}
		}
	}
}
