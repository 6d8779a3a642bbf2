package vault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func TestTeardown(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	broken := errors.New("broken")
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error { return do() }}), nil)
	for _, n := range []vault.Name{"a", "b", "b", "c"} {
		put(t, v, n, "x", nil)
	}
	put(t, newVault(t, s, &vault.Options{Collection: "notes"}), "kept", "x", nil)
	if err := s.Bucket.WriteAll(ctx, "bots/0xabc/credentials/raw", nil, nil); err != nil {
		t.Fatal(err)
	}
	// One key cannot be removed: the other keys are removed, and the result names this one.
	stuck := *s
	stuck.Remover = stuckRemover{s.Remover, "bots/0xabc/credentials/b.enc", broken}
	result, err := newVault(t, &stuck, nil).Teardown(ctx, nil)
	if !errors.Is(err, broken) || result.Deleted != 3 || len(result.Failed) != 1 || result.Failed[0].Name != "b" || result.LeftInHistory != 4 {
		t.Errorf("teardown with one stuck object = %+v, %v", result, err)
	}
	result, err = v.Teardown(ctx, nil)
	if err != nil || result.Deleted != 1 || result.LeftInHistory != 5 || len(result.Failed) != 0 {
		t.Errorf("teardown = %+v, %v", result, err)
	}
	if got := names(t, newVault(t, s, &vault.Options{Collection: "notes"}), ""); len(got) != 1 {
		t.Errorf("another collection contains %q", got)
	}
	result, err = v.Teardown(ctx, &vault.TeardownOptions{AllCollections: true, Purge: true})
	if err != nil || result.Deleted != 1 || result.Purged != 6 || result.LeftInHistory != 0 {
		t.Errorf("purging teardown = %+v, %v", result, err)
	}
	for _, err := range v.History(ctx, "b") {
		if !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("history after a purge: %v", err)
		}
	}
}

type stuckRemover struct {
	vault.Remover
	key string
	err error
}

func (r stuckRemover) Remove(ctx context.Context, keys []string) (map[string]error, error) {
	var rest []string
	failed := map[string]error{}
	for _, k := range keys {
		if k == r.key {
			failed[k] = r.err
		} else {
			rest = append(rest, k)
		}
	}
	more, err := r.Remover.Remove(ctx, rest)
	for k, e := range more {
		failed[k] = e
	}
	return failed, err
}

// TestTeardownNotCounted: an unknown count is -1, not 0.
func TestTeardownNotCounted(t *testing.T) {
	for _, op := range []string{"list", "leftovers"} {
		v := newVault(t, intercept.Store(newStore(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op == op {
				return vault.ErrUnauthenticated
			}
			return do()
		}}), nil)
		result, err := v.Teardown(t.Context(), nil)
		if !errors.Is(err, vault.ErrUnauthenticated) || errors.Is(err, vault.ErrPartial) || result.LeftInHistory != -1 {
			t.Errorf("teardown without %s = %+v, %v", op, result, err)
		}
	}
}
