package vault_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// counted returns a store that records its requests. They fail with fail(op) before they reach
// the store.
func counted(t *testing.T, s *vault.Store, fail func(op string) error) (*vault.Store, *[]string) {
	t.Helper()
	ops := new([]string)
	return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		*ops = append(*ops, c.Op)
		if err := fail(c.Op); err != nil {
			return err
		}
		return do()
	}}), ops
}

// TestRefusedOnce: a request that the service would refuse again is sent once, and no object is
// read back.
func TestRefusedOnce(t *testing.T) {
	for name, cause := range map[string]*vault.Cause{
		"unknown error code": {Sentinel: vault.ErrRefused, Effect: vault.Refused, Message: "InvalidRequest, no"},
		"no such bucket":     {Sentinel: vault.ErrUnavailable, Reason: vault.NoBucket, Effect: vault.Refused},
		"no effect reported": {Sentinel: vault.ErrRefused},
	} {
		s, ops := counted(t, newStore(t), func(string) error { return cause })
		v := newVault(t, s, nil)
		_, putErr := v.Put(t.Context(), "a", strings.NewReader("v"), nil)
		_, createErr := v.Put(t.Context(), "a", strings.NewReader("v"), &vault.PutOptions{Create: true})
		rmErr := v.Delete(t.Context(), "a", nil)
		_, tearErr := v.Teardown(t.Context(), nil)
		for op, err := range map[string]error{"put": putErr, "create": createErr, "rm": rmErr, "teardown": tearErr} {
			if !errors.Is(err, cause.Sentinel) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("%s: %s: %v, want %v", name, op, err, cause.Sentinel)
			}
		}
		if want := []string{"put", "create", "remove", "list"}; !slices.Equal(*ops, want) {
			t.Errorf("%s: requests %q, want %q", name, *ops, want)
		}
	}
	err := &vault.Cause{Sentinel: vault.ErrRefused, Message: "InvalidRequest, no"}
	if err.Error() != "InvalidRequest, no" {
		t.Errorf("the message is %q", err)
	}
}

// TestSilentOnce: a request is not retried if the store was silent for the whole timeout.
func TestSilentOnce(t *testing.T) {
	writes := func(op string) error {
		if op == "get" || op == "list" {
			return nil
		}
		return os.ErrDeadlineExceeded // returned by a connection
	}
	inner := newStore(t)
	put(t, newVault(t, inner, nil), "there", "v", nil)
	s, ops := counted(t, inner, writes)
	v := newVault(t, s, nil)
	_, putErr := v.Put(t.Context(), "a", strings.NewReader("v"), nil)
	for op, err := range map[string]error{"put": putErr, "delete": v.Delete(t.Context(), "there", nil)} {
		if !errors.Is(err, vault.ErrUnsure) {
			t.Errorf("%s: %v, want %v", op, err, vault.ErrUnsure)
		}
	}
	writing := slices.DeleteFunc(*ops, func(op string) bool { return op == "get" || op == "list" || op == "versions" })
	if want := []string{"put", "remove"}; !slices.Equal(writing, want) {
		t.Errorf("requests %q, want %q", writing, want)
	}
}

// TestSilentBody: a stalled body is requested once more, not five times.
func TestSilentBody(t *testing.T) {
	inner := newStore(t)
	put(t, newVault(t, inner, nil), "a", strings.Repeat("v", 100_000), nil)
	gets := 0
	s := intercept.Store(inner, intercept.Hooks{
		Call: func(_ context.Context, c intercept.Call, do func() error) error { gets++; return do() },
		Body: func(_ intercept.Call, r io.Reader) io.Reader {
			n := int64(0)
			if gets == 1 {
				n = 50_000
			}
			return io.MultiReader(io.LimitReader(r, n), failing{os.ErrDeadlineExceeded})
		},
	})
	r, err := newVault(t, s, nil).Get(t.Context(), "a", nil)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if !errors.Is(err, vault.ErrUnavailable) || gets != 2 {
		t.Errorf("%v after %d requests, want %v after 2", err, gets, vault.ErrUnavailable)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestTeardownUncounted: a teardown succeeds in a store that cannot list versions. Only a purge
// fails.
func TestTeardownUncounted(t *testing.T) {
	for _, why := range []error{
		vault.ErrUnsupported, vault.ErrPermission, vault.ErrRefused, vault.ErrNotFound,
		&vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.ForeignResponse}, // the store lists objects instead of versions
	} {
		s, _ := counted(t, newStore(t), func(op string) error {
			if op == "leftovers" {
				return why
			}
			return nil
		})
		v := newVault(t, s, nil)
		put(t, v, "a", "v", nil)
		result, err := v.Teardown(t.Context(), nil)
		if err != nil || result.Deleted != 1 || result.LeftInHistory != -1 {
			t.Errorf("%v: %+v, %v", why, result, err)
		}
		if _, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: true}); !errors.Is(err, why) {
			t.Errorf("purge: %v, want %v", err, why)
		}
	}
}
