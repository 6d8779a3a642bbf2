package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
)

const large = 3 << 20 // large enough for a store in memory

// opener returns a function that opens clients of one store in memory.
func opener() func(context.Context) (*vault.Store, error) {
	memory := new(memfs.Memory)
	return func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, memfs.Config{Memory: memory}) }
}

func open(t *testing.T, f func(context.Context) (*vault.Store, error)) *vault.Store {
	t.Helper()
	s, err := f(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// subject returns a store in memory whose clients all have the same defect.
func subject(t *testing.T, breaks func(*vault.Store) *vault.Store) *probe.Subject {
	openMem := opener()
	reopen := func(ctx context.Context) (*vault.Store, error) {
		s, err := openMem(ctx)
		if err != nil {
			return nil, err
		}
		return breaks(s), nil
	}
	return &probe.Subject{Store: open(t, reopen), Reopen: reopen, Prefix: "p-", Large: large}
}

func run(t *testing.T, s *probe.Subject, clause string) probe.Result {
	t.Helper()
	i := slices.IndexFunc(probe.All(), func(p probe.Probe) bool { return p.Clause == clause })
	if i < 0 {
		t.Fatalf("there is no clause %q", clause)
	}
	return s.Run(t.Context(), probe.All()[i])
}

// TestCorrectStore: a correct store passes every applicable probe, even if five probes run
// concurrently, and the probes leave no objects.
func TestCorrectStore(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(probe.All(), (len(probe.All())+4)/5) {
		wg.Go(func() {
			for _, p := range chunk {
				r := s.Run(t.Context(), p)
				want := probe.Supported
				switch p.Clause {
				case "errors-denied", "errors-expired", "errors-unreachable":
					want = probe.NotApplicable
				}
				if r.Verdict != want || r.Left != nil || (r.Err == nil) != (want == probe.Supported) || r.Clause != p.Clause {
					t.Errorf("%s: %s, %v, left: %v; want %s", p.Clause, r.Verdict, r.Err, r.Left, want)
				}
			}
		})
	}
	wg.Wait()
	for _, key := range keysBelow(t.Context(), s.Store.Bucket, "") {
		t.Errorf("left behind: %s", key)
	}
	for l, err := range s.Store.Purge.Leftovers(t.Context(), "") {
		t.Errorf("left in history: %v, %v", l, err)
	}
}

// TestBareStore: for a store that is only a bucket, the probes of other features are not
// applicable.
func TestBareStore(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return &vault.Store{Bucket: s.Bucket, Name: s.Name, Close: s.Close}
	})
	s.Reopen, s.Large = nil, -1
	for _, p := range probe.All() {
		want := probe.Supported
		switch p.Clause {
		case "two-clients", "swap", "swap-atomic", "swap-large", "splice", "splice-atomic", "history", "history-overwriters", "versions", "remove", "remove-tells-absent",
			"purge", "errors-denied", "errors-expired", "errors-unreachable", "close", "large", "all-or-nothing-large", "create-large":
			want = probe.NotApplicable
		}
		if r := s.Run(t.Context(), p); r.Verdict != want || r.Left != nil {
			t.Errorf("%s: %s, %v, left: %v; want %s", p.Clause, r.Verdict, r.Err, r.Left, want)
		}
	}
}

// TestClauses: no clause may be removed, because tests list them. Each clause has a description,
// which the package comment repeats.
func TestClauses(t *testing.T) {
	source, err := os.ReadFile("probe.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\npackage probe\n")
	if n := len(probe.All()); n < 33 {
		t.Errorf("%d clauses, there were 33", n)
	}
	seen := make(map[string]bool)
	for _, p := range probe.All() {
		if p.Doc == "" || p.Clause == "" || seen[p.Clause] {
			t.Errorf("clause %q: doc %q, seen before: %v", p.Clause, p.Doc, seen[p.Clause])
		}
		seen[p.Clause] = true
		if line := fmt.Sprintf("//\t%-21s %s\n", p.Clause, p.Doc); !strings.Contains(comment+"\n", line) {
			t.Errorf("the package comment lacks %s", line)
		}
	}
}

func keysBelow(ctx context.Context, b *blob.Bucket, prefix string) (keys []string) {
	for it := b.List(&blob.ListOptions{Prefix: prefix}); ; {
		o, err := it.Next(ctx)
		if err != nil {
			return keys
		}
		keys = append(keys, o.Key)
	}
}

func readAll(ctx context.Context, b *blob.Bucket, key string) ([]byte, error) {
	r, err := b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestStaleSecondClient: two-clients detects a second client with a stale cache, and
// read-after-write does not use that client.
func TestStaleSecondClient(t *testing.T) {
	openMem := opener()
	s := &probe.Subject{Store: open(t, openMem), Prefix: "p-", Reopen: func(ctx context.Context) (*vault.Store, error) {
		st, err := openMem(ctx)
		if err != nil {
			return nil, err
		}
		var cache sync.Map
		return withDouble(st, func(d *double) {
			d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
				if offset == 0 && length < 0 {
					if _, seen := cache.LoadOrStore(key, true); seen {
						return nil, errGone
					}
				}
				return d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
			}
		}), nil
	}}
	for clause, want := range map[string]probe.Verdict{"two-clients": probe.NotSupported, "read-after-write": probe.Supported} {
		if r := run(t, s, clause); r.Verdict != want {
			t.Errorf("%s: %s, %v; want %s", clause, r.Verdict, r.Err, want)
		}
	}
}

// TestLimits: a probe makes at most five concurrent requests, unless it tests concurrent writes,
// and uses only keys below the prefix.
func TestLimits(t *testing.T) {
	var current, most atomic.Int32
	s := subject(t, func(s *vault.Store) *vault.Store {
		return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != "purge" && !strings.HasPrefix(c.Key, "p-") {
				t.Errorf("%s of %q, which is not below the prefix", c.Op, c.Key)
			}
			if n := current.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer current.Add(-1)
			time.Sleep(10 * time.Microsecond)
			return do()
		}})
	})
	for _, p := range probe.All() {
		most.Store(0)
		s.Run(t.Context(), p)
		limit := int32(5)
		switch p.Clause {
		case "create-detects", "create-atomic", "swap-atomic":
			limit = 17 // sixteen writers and a reader
		}
		if n := most.Load(); n > limit {
			t.Errorf("%s: %d concurrent requests, want at most %d", p.Clause, n, limit)
		}
	}
}

// TestInterrupted: a probe deletes its objects even if its context ends.
func TestInterrupted(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	ctx, cancel := context.WithCancel(t.Context())
	writes := 0
	s.Store = intercept.Store(s.Store, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if writes++; writes == 3 {
			cancel()
		}
		return do()
	}})
	i := slices.IndexFunc(probe.All(), func(p probe.Probe) bool { return p.Clause == "sizes" })
	r := s.Run(ctx, probe.All()[i])
	if r.Verdict != probe.NotProven || r.Left != nil {
		t.Errorf("an interrupted probe: %s, %v, left: %v; want %s", r.Verdict, r.Err, r.Left, probe.NotProven)
	}
	for _, key := range keysBelow(t.Context(), s.Store.Bucket, "") {
		t.Errorf("left behind: %s", key)
	}
}

func ExampleSubject_Run() {
	ctx := context.Background()
	memory := new(memfs.Memory)
	open := func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, memfs.Config{Memory: memory}) }
	store, err := open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	s := &probe.Subject{Store: store, Reopen: open, Prefix: "bots/acme/probe-3f9a/", Large: -1}
	for _, p := range probe.All() {
		if r := s.Run(ctx, p); strings.HasPrefix(p.Clause, "create") {
			fmt.Println(r.Clause+":", r.Verdict)
		}
	}
	// Output:
	// create: supported
	// create-after-delete: supported
	// create-large: not applicable
	// create-detects: supported
	// create-atomic: supported
}

// TestKind: Explain may return an error that wraps a sentinel.
func TestKind(t *testing.T) {
	s := open(t, opener())
	failed := errors.New("AccessDenied")
	for _, tc := range []struct {
		err, explained, want error
	}{
		{nil, nil, nil},
		{failed, nil, nil},
		{failed, vault.ErrPermission, vault.ErrPermission},
		{failed, fmt.Errorf("hint: %w", vault.ErrPermission), vault.ErrPermission},
		{failed, vault.ErrBusy, vault.ErrUnavailable},
		{failed, vault.ErrInvalidName, vault.ErrInvalidName},
		{fmt.Errorf("x: %w", vault.ErrNotFound), vault.ErrPermission, vault.ErrNotFound},
	} {
		st := changed(s, func(s *vault.Store) { s.Explain = func(error) error { return tc.explained } })
		if got := probe.Kind(st, tc.err); got != tc.want {
			t.Errorf("Kind(%v, explained as %v) = %v, want %v", tc.err, tc.explained, got, tc.want)
		}
	}
}
