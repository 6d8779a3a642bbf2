package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestLostAnswers: Put reports the true outcome whether a lost response was sent before or
// after the write was applied.
func TestLostAnswers(t *testing.T) {
	reset := errors.New("connection reset")
	for _, applied := range []bool{false, true} {
		for _, how := range []string{"put", "create", "swap"} {
			for _, size := range []int{5, 3 << 20} {
				for _, losses := range []int{1, 100} {
					what := fmt.Sprintf("%s of %d bytes, applied %v, lost %d times", how, size, applied, losses)
					s := newStore(t)
					o := &vault.PutOptions{Create: how == "create"}
					if how == "swap" {
						o.IfRevision = put(t, newVault(t, s, nil), "a", "old", nil).Revision
					}
					lost := 0
					v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
						if c.Op != how || lost == losses {
							return do()
						}
						lost++
						if applied {
							do()
						}
						return reset
					}}), nil)
					value := strings.Repeat("v", size)
					_, err := v.Put(t.Context(), "a", strings.NewReader(value), o)
					stored := false
					if r, gerr := newVault(t, s, nil).Get(t.Context(), "a", nil); gerr == nil {
						got, gerr := io.ReadAll(r)
						r.Close()
						stored = gerr == nil && string(got) == value
					}
					if stored != (err == nil) {
						t.Errorf("%s: stored %v, but Put returned %v", what, stored, err)
					}
					if applied && err != nil || err != nil && !errors.Is(err, vault.ErrUnavailable) {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
		}
	}
}

// TestLostAnswerInHistory: a write was applied, its response was lost, and another writer
// replaced or deleted the object before the read back. Put succeeds and does not write again.
func TestLostAnswerInHistory(t *testing.T) {
	for _, how := range []string{"put", "create", "swap"} {
		for _, then := range []string{"replaced", "deleted"} {
			s := newStore(t)
			others := newVault(t, s, nil)
			o := &vault.PutOptions{Create: how == "create"}
			if how == "swap" {
				o.IfRevision = put(t, others, "a", "old", nil).Revision
			}
			writes := 0
			lossy := *s
			wrapped := &lossyWriter{s, func() {
				writes++
				if then == "replaced" {
					put(t, others, "a", "theirs", nil)
				} else if err := others.Delete(t.Context(), "a", nil); err != nil {
					t.Error(err)
				}
			}}
			lossy.Put, lossy.Create, lossy.Swap = wrapped, wrapped, wrapped
			v := newVault(t, &lossy, nil)
			if _, err := v.Put(t.Context(), "a", strings.NewReader("ours"), o); err != nil || writes != 1 {
				t.Errorf("%s, then %s: %v after %d writes, want success after 1", how, then, err, writes)
			}
			r, err := others.Get(t.Context(), "a", nil)
			switch {
			case then == "deleted":
				if !errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s, then %s: get = %v, want ErrNotFound", how, then, err)
				}
			case err != nil:
				t.Errorf("%s, then %s: %v", how, then, err)
			default:
				if got, err := io.ReadAll(r); err != nil || string(got) != "theirs" {
					t.Errorf("%s, then %s: get = %q, %v", how, then, got, err)
				}
				r.Close()
			}
		}
	}
}

// A lossyWriter drops the response of a write, after another write or delete.
type lossyWriter struct {
	s    *vault.Store
	then func()
}

var errLost = errors.New("connection reset")

func (l *lossyWriter) lose(err error) error {
	if err != nil {
		return err
	}
	l.then()
	return errLost
}

func (l *lossyWriter) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return "", err
	}
	return "", l.lose(l.s.Bucket.WriteAll(ctx, key, b.Bytes(), nil))
}

func (l *lossyWriter) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	_, err := l.s.Create.Create(ctx, key, fill)
	return "", l.lose(err)
}

func (l *lossyWriter) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
	_, err := l.s.Swap.Swap(ctx, key, tag, fill)
	return "", l.lose(err)
}

// TestUnsure: Put returns ErrUnsure if the write may have been applied and the object cannot be
// read back.
func TestUnsure(t *testing.T) {
	down := false
	v := newVault(t, intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "put" {
			do()
			down = true
		}
		if down {
			return errors.New("connection reset")
		}
		return do()
	}}), nil)
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), nil); !errors.Is(err, vault.ErrUnsure) {
		t.Errorf("put = %v, want ErrUnsure", err)
	}
}

// TestStoreUnsure: if the store itself reports ErrUnsure, because its disk failed after the
// write, reading the object back does not turn that into success.
func TestStoreUnsure(t *testing.T) {
	for _, op := range []string{"put", "create", "swap", "remove"} {
		s := newStore(t)
		revision := int64(0)
		if op != "create" {
			revision = put(t, newVault(t, s, nil), "a", "old", nil).Revision
		}
		requests := 0
		v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != op {
				return do()
			}
			requests++
			do()
			return fmt.Errorf("%w: the disk failed", vault.ErrUnsure)
		}}), nil)
		var err error
		switch op {
		case "remove":
			err = v.Delete(t.Context(), "a", nil)
		case "swap":
			_, err = v.Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{IfRevision: revision})
		default:
			_, err = v.Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{Create: op == "create"})
		}
		if !errors.Is(err, vault.ErrUnsure) || requests != 1 {
			t.Errorf("%s = %v after %d requests, want ErrUnsure after one", op, err, requests)
		}
	}
}

// TestBusy: a request is not retried if another process holds the lock of the store.
func TestBusy(t *testing.T) {
	requests := 0
	v := newVault(t, intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		requests++
		return vault.ErrBusy
	}}), nil)
	_, err := v.Put(t.Context(), "a", strings.NewReader("x"), nil)
	if !errors.Is(err, vault.ErrBusy) || errors.Is(err, vault.ErrUnsure) || requests != 1 {
		t.Errorf("put = %v after %d requests", err, requests)
	}
	requests = 0
	if err := v.Delete(t.Context(), "a", nil); !errors.Is(err, vault.ErrBusy) || errors.Is(err, vault.ErrUnsure) || requests != 1 {
		t.Errorf("delete = %v after %d requests", err, requests)
	}
}
