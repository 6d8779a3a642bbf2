package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/capabilities"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
)

// TestRecord: a run records the result of each clause, but not of a clause that failed the test.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OBJECTVAULT_CAPABILITIES", dir)
	r := newRecord(Provider{Name: "acme", Server: "1.2, versioning", Claims: []string{"create"}, Deviations: map[string]string{"swap": "not implemented"}})
	r.add("create", nil)
	r.add("create", nil) // again, below a prefix
	r.add("swap", nil)
	r.add("purge", nil)
	r.add("close", errors.New("a goroutine is still running"))
	r.write(t)
	text, err := os.ReadFile(filepath.Join(dir, "acme-1-2-versioning.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got capabilities.Column
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]capabilities.Cell{
		"create": {Found: capabilities.Supported}, "swap": {Found: capabilities.NotSupported, Reason: "not implemented"}, "purge": {Found: capabilities.NotClaimed},
	}, got.Clauses); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestJudge(t *testing.T) {
	p := probe.Probe{Clause: "swap", Doc: "a swap compares the tag"}
	lucky := probe.Probe{Clause: "swap", Doc: "a swap compares the tag", Chance: true}
	cause := errors.New("the tag was ignored")
	for _, tc := range []struct {
		probe   probe.Probe
		verdict probe.Verdict
		claimed bool
		note    string
		err     string
		known   string
	}{
		{p, probe.Supported, true, "", "", ""},
		{p, probe.NotSupported, true, "", "swap is listed in Claims (a swap compares the tag), but the result is not supported: the tag was ignored", ""},
		{p, probe.NotProven, true, "", "swap is listed in Claims (a swap compares the tag), but the result is not proven: the tag was ignored", ""},
		{p, probe.NotApplicable, true, "", "swap is listed in Claims (a swap compares the tag), but the result is not applicable: the tag was ignored", ""},
		{p, probe.Supported, false, "", "the store supports swap (a swap compares the tag): add it to Claims", ""},
		{p, probe.NotSupported, false, "not claimed: swap is not supported: the tag was ignored", "", ""},
		{p, probe.NotProven, false, "not claimed: swap is not proven: the tag was ignored", "", ""},
		{p, probe.NotApplicable, false, "not claimed: swap is not applicable: the tag was ignored", "", ""},
		{lucky, probe.Supported, false, "not claimed: swap: no violation was detected", "", ""},
		{lucky, probe.Supported, true, "", "", ""},
		{lucky, probe.NotSupported, true, "", "swap is listed in Claims (a swap compares the tag), but the result is not supported: the tag was ignored", ""},
		{p, probe.NotSupported, false, "known deviation: swap: old server", "", "old server"},
		{p, probe.Supported, false, "", "swap is listed in Deviations (old server), but the result is supported: move it to Claims", "old server"},
		{p, probe.NotProven, false, "", "swap is listed in Deviations (old server), but the result is not proven: the tag was ignored", "old server"},
		{lucky, probe.Supported, false, "known deviation: swap: old server", "", "old server"},
	} {
		r := probe.Result{Clause: "swap", Verdict: tc.verdict}
		if tc.verdict != probe.Supported {
			r.Err = cause
		}
		note, err := judge(tc.probe, r, tc.claimed, tc.known)
		if text := fmt.Sprint(err); note != tc.note || (err == nil) != (tc.err == "") || err != nil && text != tc.err {
			t.Errorf("judge(%s, claimed %v, chance %v) = %q, %v, want %q, %s", tc.verdict, tc.claimed, tc.probe.Chance, note, err, tc.note, tc.err)
		}
	}
}

func TestCheckClaims(t *testing.T) {
	for _, tc := range []struct {
		claims string
		errs   string
		known  string
	}{
		{"create read-after-write errors", "", ""},
		{"create read-after-write errors swap", "", ""},
		{"create read-after-write errors swop", `"swop" in Claims is not a clause`, ""},
		{"create read-after-write errors create", `"create" is in Claims twice`, ""},
		{"create errors", `"read-after-write" is required: add it to Claims or Deviations`, ""},
		{"read-after-write errors", `"create" is required: add it to Claims or Deviations`, ""},
		{"create read-after-write", `"errors" is required: add it to Claims or Deviations`, ""},
		{"read-after-write errors", "", "create"},
		{"create read-after-write errors", `"create" is in both Claims and Deviations`, "create"},
		{"create read-after-write errors", `"swop" in Deviations is not a clause`, "swop"},
	} {
		known := map[string]string{}
		if tc.known != "" {
			known[tc.known] = "old server"
		}
		if got := errors.Join(checkClaims(strings.Fields(tc.claims), known)...); fmt.Sprint(got) != tc.errs && (got != nil || tc.errs != "") {
			t.Errorf("claims %s: %v, want %s", tc.claims, got, tc.errs)
		}
	}
}

// TestPrefixes: with a tenant, all keys are below bots/TENANT/.
func TestPrefixes(t *testing.T) {
	for _, tc := range []struct {
		tenant       vault.Tenant
		plain, below string
	}{{"", "conformance-", "bots/conformance/"}, {"acme", "bots/acme/", "bots/acme/"}} {
		p := Provider{Tenant: tc.tenant}
		if plain := p.plain(); !strings.HasPrefix(plain, tc.plain) || strings.HasSuffix(plain, "/") || plain == p.plain() {
			t.Errorf("tenant %q: plain keys start with %q", tc.tenant, plain)
		}
		if below := p.below(); !strings.HasPrefix(below, tc.below) || !strings.HasSuffix(below, "/") || below == p.below() {
			t.Errorf("tenant %q: keys below a directory start with %q", tc.tenant, below)
		}
	}
}

type creator func(ctx context.Context, key string, fill func(io.Writer) error) (string, error)

func (f creator) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, fill)
}

type swapper func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error)

func (f swapper) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, tag, fill)
}

type remover func(ctx context.Context, keys []string) (map[string]error, error)

func (f remover) Remove(ctx context.Context, keys []string) (map[string]error, error) {
	return f(ctx, keys)
}

type backwards struct{ vault.Historian }

func (b backwards) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		var all []vault.Version
		for v := range b.Historian.Versions(ctx, key) {
			all = append(all, v)
		}
		for _, v := range slices.Backward(all) {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// overwrite replaces the object at key unconditionally.
func overwrite(ctx context.Context, s *vault.Store, key string, fill func(io.Writer) error) error {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Bucket.WriteAll(ctx, key, b.Bytes(), &blob.WriterOptions{ContentType: "application/octet-stream"})
}

// TestWrongStores: each check of a vault detects a store that violates the contract.
func TestWrongStores(t *testing.T) {
	if testing.Short() {
		t.Skip("-short skips this test: a test with a correct store runs the same checks for the race detector")
	}
	overwrites := func(s *vault.Store) {
		right := *s
		s.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
			return "", overwrite(ctx, &right, key, fill)
		})
	}
	ignoresTags := func(s *vault.Store) {
		right := *s
		s.Swap = swapper(func(ctx context.Context, key, _ string, fill func(io.Writer) error) (string, error) {
			return "", overwrite(ctx, &right, key, fill)
		})
	}
	removesNothing := func(s *vault.Store) {
		s.Remover = remover(func(context.Context, []string) (map[string]error, error) { return nil, nil })
	}
	storesNothing := func(s *vault.Store) {
		s.Create = creator(func(_ context.Context, _ string, fill func(io.Writer) error) (string, error) {
			return "", fill(io.Discard)
		})
	}
	publishesParts := func(s *vault.Store) {
		right := *s
		s.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
			var failed error
			id, err := right.Create.Create(context.WithoutCancel(ctx), key, func(w io.Writer) error { failed = fill(w); return nil })
			return id, errors.Join(failed, err)
		})
	}
	ignoresRanges := func(s *vault.Store) {
		right := *s
		*s = *intercept.Store(&right, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
			whole, err := right.Bucket.ReadAll(context.Background(), c.Key)
			if err != nil {
				return r
			}
			return bytes.NewReader(whole)
		}})
	}
	for _, tc := range []struct {
		name   string
		breaks func(*vault.Store)
		check  string
	}{
		{"create overwrites", overwrites, "round-trip"},
		{"create overwrites", overwrites, "faults"},
		{"create overwrites", overwrites, "simultaneous-creators"},
		{"create overwrites", overwrites, "competing-writer"},
		{"create overwrites", overwrites, "applied-later"},
		{"a swap ignores its tag", ignoresTags, "swap-race"},
		{"a swap ignores its tag", ignoresTags, "applied-later"},
		{"a remover removes nothing", removesNothing, "round-trip"},
		{"a remover removes nothing", removesNothing, "faults"},
		{"a remover removes nothing", removesNothing, "teardown"},
		{"a remover removes nothing", removesNothing, "second-client"},
		{"create stores nothing", storesNothing, "round-trip"},
		{"create stores nothing", storesNothing, "names"},
		{"create stores nothing", storesNothing, "faults"},
		{"create stores nothing", storesNothing, "simultaneous-creators"},
		{"a failed create publishes a part of the value", publishesParts, "sources"},
		{"ranges are ignored", ignoresRanges, "round-trip"},
		{"ranges are ignored", ignoresRanges, "truncated-bodies"},
		{"a history is listed in the wrong order", func(s *vault.Store) { s.History = backwards{s.History} }, "history"},
	} {
		t.Run(tc.name+"/"+tc.check, func(t *testing.T) {
			t.Parallel()
			f := newTestFixture(t, tc.breaks)
			err := checkNamed(t, tc.check)(t.Context(), f)
			if err == nil || errors.Is(err, errNotOffered) {
				t.Errorf("%s returned %v for a store where %s", tc.check, err, tc.name)
			} else if text := err.Error(); strings.Contains(text, "%!") || strings.Contains(text, f.canary) {
				t.Errorf("the message is not formatted, or contains a value: %s", text)
			}
			t.Log(err)
		})
	}
}

// TestErrorKinds: the check requires the error for a denied client, and rejects other errors.
func TestErrorKinds(t *testing.T) {
	for _, tc := range []struct {
		err error
		ok  bool
	}{{vault.ErrPermission, true}, {vault.ErrNotFound, false}, {vault.ErrUnauthenticated, false}} {
		f := newTestFixture(t, nil)
		f.Denied = func(ctx context.Context) (*vault.Store, error) {
			st, err := f.Reopen(ctx)
			if err != nil {
				return nil, err
			}
			return intercept.Store(st, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return tc.err }}), nil
		}
		if err := checkErrorKinds(t.Context(), f); (err == nil) != tc.ok {
			t.Errorf("a denied client with the error %q: %v", tc.err, err)
		}
	}
}

// TestLeaks: a value or a credential in an error or in a log is detected, and is not repeated in
// the report.
func TestLeaks(t *testing.T) {
	for _, tc := range []struct {
		name string
		leak func(f *fixture)
		ok   bool
	}{
		{"none", func(f *fixture) { f.recordError(errors.New("refused")); f.log.WriteString("op=put") }, true},
		{"a value in an error", func(f *fixture) { f.recordError(fmt.Errorf("writing %q", f.value(100))) }, false},
		{"a value in the log", func(f *fixture) { f.log.Write(f.value(100)) }, false},
		{"a credential in an error", func(f *fixture) { f.recordError(errors.New("key AKIASECRET is refused")) }, false},
	} {
		f := newTestFixture(t, nil)
		f.Secrets = []string{"AKIASECRET"}
		tc.leak(f)
		err := f.leaks()
		if (err == nil) != tc.ok || err != nil && (strings.Contains(err.Error(), f.canary) || strings.Contains(err.Error(), "AKIASECRET")) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestRemainingGoroutines: a watch reports only goroutines that its own function started.
func TestRemainingGoroutines(t *testing.T) {
	stop := make(chan struct{})
	mine, others := watchGoroutines(t.Context()), watchGoroutines(t.Context())
	mine.do(func(context.Context) { go func() { <-stop }() })
	others.do(func(context.Context) {
		done := make(chan struct{})
		go close(done)
		<-done
	})
	if left := others.remaining(); left != "" {
		t.Errorf("reported, although they ended or belong to other code: %s", left)
	}
	if left := mine.remaining(); !strings.Contains(left, "TestRemainingGoroutines") {
		t.Errorf("a goroutine that is still running is not reported: %q", left)
	}
	close(stop)
	if left := mine.remaining(); left != "" {
		t.Errorf("a goroutine that ended is reported: %s", left)
	}
}

func newTestFixture(t *testing.T, breaks func(*vault.Store)) *fixture {
	t.Helper()
	memory := new(memfs.Memory)
	open := func(ctx context.Context) (*vault.Store, error) {
		s, err := memfs.Open(ctx, memfs.Config{Memory: memory})
		if err == nil && breaks != nil {
			breaks(s)
		}
		return s, err
	}
	store, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return newFixture(Provider{Name: "test", Open: open, Reopen: open, Claims: []string{"list-after-write"}}, store)
}

func checkNamed(t *testing.T, name string) func(context.Context, *fixture) error {
	for _, c := range vaultChecks {
		if c.name == name {
			return c.check
		}
	}
	t.Fatalf("there is no check %q", name)
	return nil
}

// TestWithoutClose: a store need not have a Close.
func TestWithoutClose(t *testing.T) {
	closes := 0
	for _, own := range []func() error{nil, func() error { closes++; return nil }} {
		open := closable(func(ctx context.Context) (*vault.Store, error) {
			s, err := memfs.Open(ctx, memfs.Config{})
			if err == nil {
				s.Close = own
			}
			return s, err
		})
		store, err := open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if closes != 1 {
		t.Errorf("the Close of the store was called %d times, want 1", closes)
	}
}
