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

// TestRecord: what a run saw of a clause has a place in the table, and what fails it has not.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("OBJECTVAULT_CAPABILITIES", dir)
	r := newRecord(Provider{Name: "acme", Server: "1.2, versioning", Claims: []string{"create"}, Deviations: map[string]string{"swap": "it cannot"}})
	r.add("create", nil)
	r.add("create", nil) // below a prefix
	r.add("swap", nil)
	r.add("purge", nil)
	r.add("close", errors.New("a goroutine stays"))
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
		"create": {Found: capabilities.Honoured}, "swap": {Found: capabilities.NotHonoured, Reason: "it cannot"}, "purge": {Found: capabilities.NotClaimed},
	}, got.Clauses); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestJudge(t *testing.T) {
	p := probe.Probe{Clause: "swap", Doc: "a swap looks at its tag"}
	lucky := probe.Probe{Clause: "swap", Doc: "a swap looks at its tag", Chance: true}
	why := errors.New("the tag was ignored")
	for _, tc := range []struct {
		probe   probe.Probe
		verdict probe.Verdict
		claimed bool
		note    string
		err     string
		known   string
	}{
		{p, probe.Honoured, true, "", "", ""},
		{p, probe.NotHonoured, true, "", "swap is claimed (a swap looks at its tag) and not honoured: the tag was ignored", ""},
		{p, probe.NotProven, true, "", "swap is claimed (a swap looks at its tag) and not proven: the tag was ignored", ""},
		{p, probe.NotApplicable, true, "", "swap is claimed (a swap looks at its tag) and not applicable: the tag was ignored", ""},
		{p, probe.Honoured, false, "", "swap is honoured (a swap looks at its tag) and not claimed: claim it", ""},
		{p, probe.NotHonoured, false, "not claimed: swap, not honoured: the tag was ignored", "", ""},
		{p, probe.NotProven, false, "not claimed: swap, not proven: the tag was ignored", "", ""},
		{p, probe.NotApplicable, false, "not claimed: swap, not applicable: the tag was ignored", "", ""},
		{lucky, probe.Honoured, false, "not claimed: swap, no violation was seen", "", ""},
		{lucky, probe.Honoured, true, "", "", ""},
		{lucky, probe.NotHonoured, true, "", "swap is claimed (a swap looks at its tag) and not honoured: the tag was ignored", ""},
		{p, probe.NotHonoured, false, "known deviation: swap: it is old", "", "it is old"},
		{p, probe.Honoured, false, "", "swap is a known deviation (it is old), and now is honoured: claim it", "it is old"},
		{p, probe.NotProven, false, "", "swap is a known deviation (it is old), and now is not proven: the tag was ignored", "it is old"},
		{lucky, probe.Honoured, false, "known deviation: swap: it is old", "", "it is old"},
	} {
		r := probe.Result{Clause: "swap", Verdict: tc.verdict}
		if tc.verdict != probe.Honoured {
			r.Err = why
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
		{"create read-after-write errors swop", `claim "swop": there is no such clause`, ""},
		{"create read-after-write errors create", `claim "create": listed twice`, ""},
		{"create errors", `claim "read-after-write": it cannot be left out`, ""},
		{"read-after-write errors", `claim "create": it cannot be left out`, ""},
		{"create read-after-write", `claim "errors": it cannot be left out`, ""},
		{"read-after-write errors", "", "create"},
		{"create read-after-write errors", `deviation "create": it is claimed`, "create"},
		{"create read-after-write errors", `deviation "swop": there is no such clause`, "swop"},
	} {
		known := map[string]string{}
		if tc.known != "" {
			known[tc.known] = "it is old"
		}
		if got := errors.Join(checkClaims(strings.Fields(tc.claims), known)...); fmt.Sprint(got) != tc.errs && (got != nil || tc.errs != "") {
			t.Errorf("claims %s: %v, want %s", tc.claims, got, tc.errs)
		}
	}
}

// TestPrefixes: a tenant writes below bots/TENANT/ and nowhere else.
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

// overwrite puts what fill writes, whatever is there.
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

// TestWrongStores: each check of a vault sees a store that keeps it from its promises.
func TestWrongStores(t *testing.T) {
	if testing.Short() {
		t.Skip("the checks are the same over a store that is right, and are raced there")
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
		{"create overwrites", overwrites, "frozen-creators"},
		{"create overwrites", overwrites, "interlopers"},
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
		{"create stores nothing", storesNothing, "frozen-creators"},
		{"a failed create publishes its part", publishesParts, "sources"},
		{"ranges are ignored", ignoresRanges, "round-trip"},
		{"ranges are ignored", ignoresRanges, "cut-bodies"},
		{"a history is the wrong way round", func(s *vault.Store) { s.History = backwards{s.History} }, "history"},
	} {
		t.Run(tc.name+"/"+tc.check, func(t *testing.T) {
			t.Parallel()
			f := newTestField(t, tc.breaks)
			err := checkNamed(t, tc.check)(t.Context(), f)
			if err == nil || errors.Is(err, errNotOffered) {
				t.Errorf("%s says %v of a store where %s", tc.check, err, tc.name)
			} else if text := err.Error(); strings.Contains(text, "%!") || strings.Contains(text, f.canary) {
				t.Errorf("the message is not formatted, or holds a value: %s", text)
			}
			t.Log(err)
		})
	}
}

// TestKinds: what a vault makes of a client that the store refuses.
func TestKinds(t *testing.T) {
	for _, tc := range []struct {
		says error
		ok   bool
	}{{vault.ErrPermission, true}, {vault.ErrNotFound, false}, {vault.ErrUnauthenticated, false}} {
		f := newTestField(t, nil)
		f.Denied = func(ctx context.Context) (*vault.Store, error) {
			st, err := f.Reopen(ctx)
			if err != nil {
				return nil, err
			}
			return intercept.Store(st, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return tc.says }}), nil
		}
		if err := checkKinds(t.Context(), f); (err == nil) != tc.ok {
			t.Errorf("a denied client that says %q: %v", tc.says, err)
		}
	}
}

// TestLeaks: a value or a credential in an error or in a log is seen, and not repeated.
func TestLeaks(t *testing.T) {
	for _, tc := range []struct {
		name string
		leak func(f *field)
		ok   bool
	}{
		{"none", func(f *field) { f.saw(errors.New("refused")); f.log.WriteString("op=put") }, true},
		{"a value in an error", func(f *field) { f.saw(fmt.Errorf("writing %q", f.value(100))) }, false},
		{"a value in the log", func(f *field) { f.log.Write(f.value(100)) }, false},
		{"a credential in an error", func(f *field) { f.saw(errors.New("key AKIASECRET is refused")) }, false},
	} {
		f := newTestField(t, nil)
		f.Secrets = []string{"AKIASECRET"}
		tc.leak(f)
		err := f.leaks()
		if (err == nil) != tc.ok || err != nil && (strings.Contains(err.Error(), f.canary) || strings.Contains(err.Error(), "AKIASECRET")) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestLeak: goroutines are distinguished by the code that started them.
func TestLeak(t *testing.T) {
	stop := make(chan struct{})
	mine, others := watchGoroutines(t.Context()), watchGoroutines(t.Context())
	mine.do(func(context.Context) { go func() { <-stop }() })
	others.do(func(context.Context) {
		done := make(chan struct{})
		go close(done)
		<-done
	})
	if left := others.left(); left != "" {
		t.Errorf("goroutines that ended, or belong to other code: %s", left)
	}
	if left := mine.left(); !strings.Contains(left, "TestLeak") {
		t.Errorf("a goroutine that is left is not seen: %q", left)
	}
	close(stop)
	if left := mine.left(); left != "" {
		t.Errorf("a goroutine that ended is seen: %s", left)
	}
}

func newTestField(t *testing.T, breaks func(*vault.Store)) *field {
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
	return newField(Provider{Name: "test", Open: open, Reopen: open, Claims: []string{"list-after-write"}}, store)
}

func checkNamed(t *testing.T, name string) func(context.Context, *field) error {
	for _, c := range vaultChecks {
		if c.name == name {
			return c.check
		}
	}
	t.Fatalf("there is no check %q", name)
	return nil
}
