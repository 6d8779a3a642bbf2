package probe_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// TestLeakingStore: the probe close reports a goroutine that outlives Close, and no other.
func TestLeakingStore(t *testing.T) {
	for _, leaks := range []bool{false, true} {
		stop := make(chan struct{})
		s := subject(t, func(s *vault.Store) *vault.Store {
			end := make(chan struct{})
			go func() {
				select {
				case <-end:
				case <-stop:
				}
			}()
			return changed(s, func(c *vault.Store) {
				c.Close = func() error {
					if !leaks {
						close(end)
					}
					return nil
				}
			})
		})
		want := probe.Supported
		if leaks {
			want = probe.NotSupported
		}
		r := run(t, s, "close")
		if r.Verdict != want {
			t.Errorf("leaks %v: %s, %v; want %s", leaks, r.Verdict, r.Err, want)
		}
		close(stop)
	}
}

// TestRefusingStores: the probes require the right error from a client that is denied, has
// expired credentials or cannot reach the store.
func TestRefusingStores(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for _, tc := range []struct {
		clause  string
		err     error
		explain func(error) error
		want    probe.Verdict
	}{
		{"errors-denied", vault.ErrPermission, nil, probe.Supported},
		{"errors-denied", vault.ErrNotFound, nil, probe.NotSupported},
		{"errors-denied", vault.ErrUnauthenticated, nil, probe.NotSupported},
		{"errors-denied", errors.New("403"), nil, probe.NotSupported},
		{"errors-denied", vault.ErrUnavailable, nil, probe.NotProven},
		{"errors-expired", vault.ErrUnauthenticated, nil, probe.Supported},
		{"errors-expired", reset, func(err error) error {
			if errors.Is(err, reset) {
				return vault.ErrUnauthenticated
			}
			return nil
		}, probe.Supported},
		{"errors-expired", vault.ErrPermission, nil, probe.NotSupported},
		{"errors-expired", reset, nil, probe.NotSupported},
		{"errors-unreachable", reset, nil, probe.Supported},
		{"errors-unreachable", vault.ErrUnavailable, nil, probe.Supported},
		{"errors-unreachable", vault.ErrNotFound, nil, probe.NotSupported},
		{"errors-unreachable", vault.ErrExist, nil, probe.NotSupported},
	} {
		s := subject(t, func(s *vault.Store) *vault.Store { return s })
		refusing := func(ctx context.Context) (*vault.Store, error) {
			st, err := s.Reopen(ctx)
			if err != nil {
				return nil, err
			}
			st = intercept.Store(st, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return tc.err }})
			st.Explain = tc.explain
			return st, nil
		}
		s.Denied, s.Expired, s.Unreachable = refusing, refusing, refusing
		if r := run(t, s, tc.clause); r.Verdict != tc.want {
			t.Errorf("%s of a client with the error %q: %s, %v; want %s", tc.clause, tc.err, r.Verdict, r.Err, tc.want)
		}
	}

	// A write is refused, but takes effect.
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	s.Denied = func(ctx context.Context) (*vault.Store, error) {
		st, err := s.Reopen(ctx)
		if err != nil {
			return nil, err
		}
		return intercept.Store(st, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
			do()
			return vault.ErrPermission
		}}), nil
	}
	if r := run(t, s, "errors-denied"); r.Verdict != probe.NotSupported {
		t.Errorf("a denied client whose writes take effect: %s, %v", r.Verdict, r.Err)
	}
}

// TestUnreachableStore: a store that does not respond violates no clause.
func TestUnreachableStore(t *testing.T) {
	for _, failure := range []error{vault.ErrUnavailable, vault.ErrPermission, vault.ErrUnauthenticated, vault.ErrNoSpace, errors.New("connection reset by peer")} {
		s := subject(t, func(s *vault.Store) *vault.Store {
			return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				switch c.Op {
				case "get", "list", "versions", "leftovers":
					return do()
				}
				return failure
			}})
		})
		for _, p := range probe.All() {
			switch p.Clause {
			case "errors-denied", "errors-expired", "errors-unreachable", "two-clients", "no-secrets", "all-or-nothing", "all-or-nothing-large", "delete-tells-absent":
				continue
			}
			if r := s.Run(t.Context(), p); r.Verdict != probe.NotProven {
				t.Errorf("%s when every write fails with %q: %s, %v; want %s", p.Clause, failure, r.Verdict, r.Err, probe.NotProven)
			}
		}
	}
}

// TestHidesAbsent: with HidesAbsent, a denied read of a missing object counts as not found. A
// denied read of an existing object does not.
func TestHidesAbsent(t *testing.T) {
	denying := func(absent, existing bool) *probe.Subject {
		s := subject(t, func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if absent && gcerrors.Code(err) == gcerrors.NotFound {
						return nil, vault.ErrPermission
					}
					if existing && err == nil {
						r.Close()
						return nil, vault.ErrPermission
					}
					return r, err
				}
			})
		})
		s.HidesAbsent = true
		return s
	}
	versions := denying(true, false)
	versions.Store = changed(versions.Store, func(s *vault.Store) {
		wrapped := s.History
		s.History = historian{Historian: wrapped, open: func(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, error) {
			r, _, err := wrapped.OpenVersion(ctx, key, id, offset, length)
			if errors.Is(err, vault.ErrNotFound) {
				return nil, vault.ErrPermission
			}
			return r, err
		}}
	})
	if r := run(t, versions, "versions"); r.Verdict != probe.Supported {
		t.Errorf("a missing version is denied: versions: %s, %v; want %s", r.Verdict, r.Err, probe.Supported)
	}
	versions.HidesAbsent = false
	if r := run(t, versions, "versions"); r.Verdict != probe.NotSupported {
		t.Errorf("a missing version is denied without HidesAbsent: versions: %s, %v; want %s", r.Verdict, r.Err, probe.NotSupported)
	}
	for _, clause := range []string{"errors", "read-after-write", "swap"} {
		if r := run(t, denying(true, false), clause); r.Verdict != probe.Supported {
			t.Errorf("a missing object is denied: %s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.Supported)
		}
		if r := run(t, denying(false, true), clause); r.Verdict != probe.NotProven || !errors.Is(r.Err, vault.ErrPermission) {
			t.Errorf("an existing object is denied: %s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.NotProven)
		}
	}
}
