package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

var keys = []envelope.KeySource{kek.InsecureFixed()}

func newStore(t *testing.T) *vault.Store {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newVault(t *testing.T, s *vault.Store, o *vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, "0xabc", keys, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func put(t *testing.T, v *vault.Vault, name vault.Name, value string, o *vault.PutOptions) vault.Info {
	t.Helper()
	info, err := v.Put(t.Context(), name, strings.NewReader(value), o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t *testing.T, v *vault.Vault, name vault.Name, o *vault.GetOptions) string {
	t.Helper()
	r, err := v.Get(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func names(t *testing.T, v *vault.Vault, prefix string) []string {
	t.Helper()
	var list []string
	for e, err := range v.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Foreign {
			list = append(list, "foreign "+e.Key)
		} else {
			list = append(list, string(e.Name))
		}
	}
	return list
}

// A recorder records every request.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) hooks() intercept.Hooks {
	return intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		line := c.Op
		if c.Op == "get" || c.Op == "open-version" {
			line += fmt.Sprintf(" %d+%d", c.Offset, c.Length)
		}
		r.calls = append(r.calls, line)
		return do()
	}}
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// TestRequests asserts the exact list of requests of every operation.
func TestRequests(t *testing.T) {
	var rec recorder
	v := newVault(t, intercept.Store(newStore(t), rec.hooks()), nil)
	ctx := t.Context()
	check := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, rec.take()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", what, diff)
		}
	}
	long := strings.Repeat("0123456789", 20_000) // 200,000 bytes: 4 segments
	info, err := v.Put(ctx, "a", strings.NewReader("one"), nil)
	check("put", err, "put")
	_, err = v.Put(ctx, "b", strings.NewReader("one"), &vault.PutOptions{Create: true})
	check("create", err, "create")
	_, err = v.Put(ctx, "a", strings.NewReader("two"), &vault.PutOptions{IfRevision: info.Revision})
	check("swap", err, "get 0+16384", "swap")
	get(t, v, "a", nil)
	check("get", nil, "get 0+-1")
	_, err = v.Stat(ctx, "a")
	check("stat", err, "get 0+16384")
	put(t, v, "long", long, nil)
	rec.take()
	h, err := v.Stat(ctx, "long")
	check("stat", err, "get 0+16384")
	header := h.SealedSize - h.Size - 40 - 16*4
	get(t, v, "long", &vault.GetOptions{Range: &vault.Range{Offset: 70_000, Length: 5}})
	check("range", nil, "get 0+16384", fmt.Sprintf("get %d+65536", header+65536))
	err = v.Delete(ctx, "b", nil)
	check("rm", err, "remove")
	for e, err := range v.History(ctx, "a") {
		if err != nil || e.Revision == 0 {
			t.Errorf("history: %v, %v", e, err)
		}
	}
	check("history", nil, "versions", "open-version 0+16384", "open-version 0+16384")
	for range v.List(ctx, "nothing") {
		t.Error("something was listed")
	}
	check("empty list", nil, "list")
	_, err = v.Teardown(ctx, nil)
	check("teardown", err, "list", "remove", "leftovers")
	_, err = v.Teardown(ctx, nil)
	check("empty teardown", err, "list", "leftovers")
	_, err = v.Undelete(ctx, "a")
	check("undelete", err, "versions", "open-version 0+-1", "create")
	_, err = v.Rollback(ctx, "a", "@3")
	check("rollback", err, "versions", "open-version 0+-1", "put")
}

// TestPages lists and tears down about as many objects as fit in a page.
func TestPages(t *testing.T) {
	for _, tc := range []struct{ n, pages int }{{0, 1}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {2000, 2}} {
		var rec recorder
		s := newStore(t)
		for i := range tc.n {
			if err := s.Bucket.WriteAll(t.Context(), fmt.Sprintf("bots/0xabc/credentials/%04d.enc", i), []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		v := newVault(t, intercept.Store(s, rec.hooks()), nil)
		if got := len(names(t, v, "")); got != tc.n {
			t.Errorf("%d objects: listed %d", tc.n, got)
		}
		if got := len(rec.take()); got != tc.pages {
			t.Errorf("%d objects: listed in %d requests, want %d", tc.n, got, tc.pages)
		}
		result, err := v.Teardown(t.Context(), nil)
		if err != nil || result.Deleted != tc.n {
			t.Errorf("%d objects: teardown = %+v, %v", tc.n, result, err)
		}
		want := tc.pages + (tc.n+999)/1000 + 1 // lists, removes, and one list of the history
		if got := len(rec.take()); got != want {
			t.Errorf("%d objects: teardown in %d requests, want %d", tc.n, got, want)
		}
		if got := names(t, v, ""); got != nil {
			t.Errorf("%d objects: %d left", tc.n, len(got))
		}
	}
}

func TestInfo(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000, time.UTC)
	v := newVault(t, newStore(t), &vault.Options{Now: func() time.Time { return now }, VaultID: "v1", Collection: "notes"})
	o := &vault.PutOptions{ContentType: "text/plain", Expires: now.Add(time.Hour).Truncate(time.Second), Labels: map[string]string{"team": "red"}}
	stored := put(t, v, "a/b", "value", o)
	want := vault.Info{
		Name: "a/b", Tenant: "0xabc", Collection: "notes", Revision: now.UnixMicro(), Size: 5,
		SealedSize: stored.SealedSize, ContentType: "text/plain", Expires: o.Expires, Labels: o.Labels, Tag: stored.Tag,
	}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	stat, err := v.Stat(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if stat.Modified.IsZero() {
		t.Error("stat does not say when it was modified")
	}
	want.Modified = stat.Modified
	if diff := cmp.Diff(want, stat); diff != "" {
		t.Errorf("stat (-want +got):\n%s", diff)
	}
	now = now.Add(time.Hour) // now the object has expired, and can still be opened
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

func TestBound(t *testing.T) {
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

func TestScope(t *testing.T) {
	ctx := t.Context()
	var rec recorder
	s := newStore(t)
	put(t, newVault(t, s, nil), "mine", "1", nil)
	put(t, newVault(t, s, nil), "other", "2", nil)
	s = intercept.Store(s, rec.hooks())

	verbs := map[string]func(v *vault.Vault, n vault.Name) error{
		"put": func(v *vault.Vault, n vault.Name) error {
			_, err := v.Put(ctx, n, strings.NewReader("x"), nil)
			return err
		},
		"delete":   func(v *vault.Vault, n vault.Name) error { return v.Delete(ctx, n, nil) },
		"rollback": func(v *vault.Vault, n vault.Name) error { _, err := v.Rollback(ctx, n, "@1"); return err },
		"undelete": func(v *vault.Vault, n vault.Name) error { _, err := v.Undelete(ctx, n); return err },
		"teardown": func(v *vault.Vault, _ vault.Name) error { _, err := v.Teardown(ctx, nil); return err },
	}
	reads := map[string]func(v *vault.Vault, n vault.Name) error{
		"get":  func(v *vault.Vault, n vault.Name) error { return closed(v.Get(ctx, n, nil)) },
		"stat": func(v *vault.Vault, n vault.Name) error { _, err := v.Stat(ctx, n); return err },
		"range": func(v *vault.Vault, n vault.Name) error {
			return closed(v.Get(ctx, n, &vault.GetOptions{Range: &vault.Range{Length: 1}}))
		},
		"history": func(v *vault.Vault, n vault.Name) error {
			for _, err := range v.History(ctx, n) {
				return err
			}
			return nil
		},
	}
	denied := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, vault.ErrPermission) {
			t.Errorf("%s: %v, want ErrPermission", what, err)
		}
		if calls := rec.take(); calls != nil {
			t.Errorf("%s: denied after the requests %q", what, calls)
		}
	}
	names1 := &vault.Options{Scope: vault.Scope{Names: []vault.Name{"mine"}}}
	none := &vault.Options{Scope: vault.Scope{Names: []vault.Name{}}}
	readOnly := &vault.Options{Scope: vault.Scope{ReadOnly: true}}
	for verb, do := range verbs {
		denied("foreign "+verb, do(newVault(t, s, names1), "other"))
		denied("empty "+verb, do(newVault(t, s, none), "mine"))
		denied("read-only "+verb, do(newVault(t, s, readOnly), "mine"))
	}
	denied("teardown within a scope", verbs["teardown"](newVault(t, s, names1), "mine"))
	for verb, do := range reads {
		denied("foreign "+verb, do(newVault(t, s, names1), "other"))
		denied("empty "+verb, do(newVault(t, s, none), "mine"))
		if err := do(newVault(t, s, names1), "mine"); err != nil {
			t.Errorf("own %s: %v", verb, err)
		}
		if err := do(newVault(t, s, readOnly), "other"); err != nil {
			t.Errorf("read-only %s: %v", verb, err)
		}
		rec.take()
	}
	for _, tc := range []struct {
		o    *vault.Options
		want []string
	}{{names1, []string{"mine"}}, {none, nil}, {readOnly, []string{"mine", "other"}}} {
		if diff := cmp.Diff(tc.want, names(t, newVault(t, s, tc.o), "")); diff != "" {
			t.Errorf("list within %+v (-want +got):\n%s", tc.o.Scope, diff)
		}
	}
}

func TestList(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	for _, n := range []vault.Name{"a", "a.enc/b", "a.encoded", "a.e", "ab", "a/b", "__x", "_", "é", "é/x"} {
		put(t, v, n, "x", nil)
	}
	for _, key := range []string{"bots/0xabc/credentials/raw", "bots/0xabc/credentials/a%2eenc/b.enc", "bots/0xabcd/credentials/z.enc", "bots/0xabc/notes/z.enc"} {
		if err := s.Bucket.WriteAll(t.Context(), key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		prefix string
		want   []string
	}{
		{"a.", []string{"a.enc/b", "a.e", "a.encoded", "foreign bots/0xabc/credentials/a%2eenc/b.enc"}},
		{"a.e", []string{"a.enc/b", "a.e", "a.encoded"}},
		{"a.enc", []string{"a.enc/b", "a.encoded"}},
		{"a.enc/", []string{"a.enc/b"}},
		{"_", []string{"__x", "_"}},
		{"__", []string{"__x"}},
		{"é", []string{"é", "é/x"}},
		{"\xc3", []string{"é", "é/x"}}, // half a character
		{"zzz", nil},
		{"r", []string{"foreign bots/0xabc/credentials/raw"}},
	} {
		var want []string
		for _, n := range tc.want {
			if tc.prefix == "a." && strings.HasPrefix(n, "foreign") {
				continue // its key does not start with "a."
			}
			want = append(want, n)
		}
		if diff := cmp.Diff(want, names(t, v, tc.prefix)); diff != "" {
			t.Errorf("list %q (-want +got):\n%s", tc.prefix, diff)
		}
	}
	last := ""
	for e, err := range v.List(t.Context(), "") {
		if err != nil || e.Key <= last {
			t.Errorf("%q after %q, %v: not in key order", e.Key, last, err)
		}
		last = e.Key
		if !e.Foreign && (e.SealedSize == 0 || e.Modified.IsZero()) {
			t.Errorf("%+v does not say size and time", e)
		}
	}
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
					t.Errorf("%s %s of %d bytes: the old value is %d bytes now", what, how, size, len(got))
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

func TestErrors(t *testing.T) {
	ctx := t.Context()
	v := newVault(t, newStore(t), nil)
	info := put(t, v, "a", "1", nil)
	for _, tc := range []struct {
		what string
		do   func() error
		want error
		text string
	}{
		{"absent", func() error { _, err := v.Get(ctx, "acme/absent", nil); return err }, vault.ErrNotFound, "get acme/absent: not found"},
		{"absent", func() error { return v.Delete(ctx, "b", nil) }, vault.ErrNotFound, "delete b: not found"},
		{"taken", func() error {
			_, err := v.Put(ctx, "a", strings.NewReader("2"), &vault.PutOptions{Create: true})
			return err
		}, vault.ErrExist, "put a: exists already"},
		{"stale", func() error {
			_, err := v.Put(ctx, "a", strings.NewReader("2"), &vault.PutOptions{IfRevision: 5})
			return err
		}, vault.ErrConflict, fmt.Sprintf("put a: conflict: the object has revision %d, not 5", info.Revision)},
		{"gone", func() error {
			_, err := v.Put(ctx, "b", strings.NewReader("2"), &vault.PutOptions{IfRevision: 5})
			return err
		}, vault.ErrConflict, "put b: conflict: there is no revision 5, the object is gone"},
		{"name", func() error { _, err := v.Stat(ctx, "a//b"); return err }, vault.ErrInvalidName, `stat a//b: invalid name: "a//b" has an empty segment`},
		{"version", func() error { _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@x"}); return err }, vault.ErrInvalidName, `get a: invalid name: "@x" is not a version; write an id from history, @N or r:REVISION`},
		{"version", func() error { _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@2"}); return err }, vault.ErrNotFound, "get a: not found: version @2"},
		{"history", func() error {
			for _, err := range v.History(ctx, "b") {
				return err
			}
			return nil
		}, vault.ErrNotFound, "history b: not found"},
		{"undelete", func() error { _, err := v.Undelete(ctx, "a"); return err }, vault.ErrExist, "undelete a: exists already: it is not deleted"},
		{"undelete", func() error { _, err := v.Undelete(ctx, "b"); return err }, vault.ErrNotFound, "undelete b: not found"},
		{"rollback", func() error { _, err := v.Rollback(ctx, "b", "@1"); return err }, vault.ErrNotFound, "rollback b: not found: version @1"},
	} {
		err := tc.do()
		var e *vault.Error
		if !errors.Is(err, tc.want) || !errors.As(err, &e) {
			t.Errorf("%s: %v, want %v in a *vault.Error", tc.what, err, tc.want)
		} else if err.Error() != tc.text {
			t.Errorf("%s: %q, want %q", tc.what, err, tc.text)
		}
	}
	if !errors.Is(vault.ErrUnsure, vault.ErrUnavailable) {
		t.Error("ErrUnsure does not wrap ErrUnavailable")
	}
	if _, err := vault.New(newStore(t), "a*", keys, nil); !errors.Is(err, vault.ErrInvalidName) {
		t.Errorf("a tenant with a wildcard: %v", err)
	}
	keyless, err := vault.New(newStore(t), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyless.Put(ctx, "a", strings.NewReader("1"), nil); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("put without a key: %v, want ErrUnknownKey", err)
	}
}

// TestDeniedOrAbsent: if a tenant may list only below a prefix, reading a missing key returns
// 403, and one list request distinguishes denied from absent.
func TestDeniedOrAbsent(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	put(t, newVault(t, s, nil), "there", "1", nil)
	put(t, newVault(t, s, nil), "gone2", "1", nil)
	listing := true
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "get" || c.Op == "remove" || c.Op == "list" && !listing {
			return vault.ErrPermission
		}
		return do()
	}}), nil)
	verbs := map[string]func(vault.Name) error{
		"get": func(n vault.Name) error { _, err := v.Get(ctx, n, nil); return err },
		"range": func(n vault.Name) error {
			_, err := v.Get(ctx, n, &vault.GetOptions{Range: &vault.Range{}})
			return err
		},
		"stat":   func(n vault.Name) error { _, err := v.Stat(ctx, n); return err },
		"delete": func(n vault.Name) error { return v.Delete(ctx, n, nil) },
	}
	for verb, do := range verbs {
		for _, tc := range []struct {
			name    vault.Name
			listing bool
			want    error
		}{{"there", true, vault.ErrPermission}, {"gone", true, vault.ErrNotFound}, {"gone", false, vault.ErrPermission}} {
			listing = tc.listing
			err := do(tc.name)
			if !errors.Is(err, tc.want) || tc.want == vault.ErrPermission && errors.Is(err, vault.ErrNotFound) {
				t.Errorf("%s %s, listing %v: %v, want %v", verb, tc.name, tc.listing, err, tc.want)
			}
		}
	}
}

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
		t.Errorf("a writer with a slow clock, having seen 1000003, wrote %d", r)
	}
}

func TestHistory(t *testing.T) {
	ctx := t.Context()
	v := newVault(t, newStore(t), nil)
	one := put(t, v, "a", "one", &vault.PutOptions{Labels: map[string]string{"n": "1"}})
	two := put(t, v, "a", "two!", nil)
	if err := v.Delete(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	history := func() (list []vault.HistoryEntry) {
		for e, err := range v.History(ctx, "a") {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		return list
	}
	type line struct {
		Revision, Size   int64
		Current, Deleted bool
	}
	lines := func() (list []line) {
		for _, e := range history() {
			if e.Version == "" || e.Modified.IsZero() {
				t.Errorf("%+v has no id or no time", e)
			}
			list = append(list, line{e.Revision, e.Size, e.Current, e.Deleted})
		}
		return list
	}
	want := []line{{0, 0, true, true}, {two.Revision, 4, false, false}, {one.Revision, 3, false, false}}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, spec := range []string{"@3", fmt.Sprint("r:", one.Revision), history()[2].Version} {
		if got := get(t, v, "a", &vault.GetOptions{Version: spec}); got != "one" {
			t.Errorf("version %s = %q", spec, got)
		}
		if got := get(t, v, "a", &vault.GetOptions{Version: spec, Range: &vault.Range{Offset: 1, Length: 1}}); got != "n" {
			t.Errorf("range of version %s = %q", spec, got)
		}
	}
	if _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@1"}); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get of a deletion: %v", err)
	}
	back, err := v.Undelete(ctx, "a")
	if err != nil || get(t, v, "a", nil) != "two!" || back.Revision <= two.Revision {
		t.Fatalf("undelete: %+v, %v", back, err)
	}
	rolled, err := v.Rollback(ctx, "a", fmt.Sprint("r:", one.Revision))
	if err != nil || get(t, v, "a", nil) != "one" || rolled.Revision <= back.Revision || rolled.Labels["n"] != "1" {
		t.Fatalf("rollback: %+v, %v", rolled, err)
	}
	want = append([]line{{rolled.Revision, 3, true, false}, {back.Revision, 4, false, false}, {0, 0, false, true}}, want[1:]...)
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("history after rollback (-want +got):\n%s", diff)
	}
}

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
	// One key cannot be removed: the other keys are removed, and the error names the one.
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
		t.Errorf("another collection holds %q", got)
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

// TestCutBody: reading continues after a body was cut, makes at most five requests without a
// byte, and never ends early.
func TestCutBody(t *testing.T) {
	s := newStore(t)
	value := strings.Repeat("0123456789abcdef", 20_000)
	put(t, newVault(t, s, nil), "a", value, nil)
	for _, each := range []int64{70_000, 1000, 1, 0} {
		requests := 0
		v := newVault(t, intercept.Store(s, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
			requests++
			if each == 1 && requests > 3 { // one byte per request would take too long
				return r
			}
			if requests%2 == 0 {
				return io.LimitReader(r, each) // ends early without an error
			}
			return io.MultiReader(io.LimitReader(r, each), iotest.ErrReader(io.ErrUnexpectedEOF))
		}}), nil)
		if each == 1000 {
			continue // 320 requests with pauses: covered by the other sizes
		}
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
						t.Errorf("%s: stored %v, but Put says %v", what, stored, err)
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
			t.Errorf("put of a value that streams: %v, and then get: %v", err, gerr)
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

// TestPrunedHistory: a version that is removed during a listing is omitted; the listing does
// not fail with ErrNotFound.
func TestPrunedHistory(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	first := put(t, plain, "a", "one", nil)
	put(t, plain, "a", "two", nil)
	put(t, plain, "a", "three", nil)
	opened := 0
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "open-version" {
			if opened++; opened == 2 {
				return vault.ErrNotFound
			}
		}
		return do()
	}}), nil)
	lines := 0
	for _, err := range v.History(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		lines++
	}
	if lines != 2 {
		t.Errorf("%d lines, want 2", lines)
	}
	opened = 0
	if got := get(t, v, "a", &vault.GetOptions{Version: fmt.Sprint("r:", first.Revision)}); got != "one" {
		t.Errorf("r:%d = %q", first.Revision, got)
	}
}

// TestRevisionIsProven: a version that is chosen by revision has that revision when it is
// opened.
func TestRevisionIsProven(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	put(t, plain, "a", "value 1", nil) // same length, so that it does not look like a cut body
	want := put(t, plain, "a", "value 2", nil)
	put(t, plain, "a", "new", nil)
	lying := *s
	lying.History = &lyingHistorian{Historian: s.History}
	v := newVault(t, &lying, nil)
	spec := fmt.Sprint("r:", want.Revision)
	for what, do := range map[string]func() error{
		"get": func() error { return closed(v.Get(t.Context(), "a", &vault.GetOptions{Version: spec})) },
		"range": func() error {
			return closed(v.Get(t.Context(), "a", &vault.GetOptions{Version: spec, Range: &vault.Range{}}))
		},
		"rollback": func() error { _, err := v.Rollback(t.Context(), "a", spec); return err },
	} {
		lying.History.(*lyingHistorian).reads = 0
		if err := do(); !errors.Is(err, vault.ErrRollback) {
			t.Errorf("%s %s of a store that serves another version: %v", what, spec, err)
		}
	}
}

// A lyingHistorian returns the oldest version after the headers were read.
type lyingHistorian struct {
	vault.Historian
	reads int
}

func (h *lyingHistorian) OpenVersion(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, string, error) {
	if h.reads++; h.reads > 2 {
		for v := range h.Historian.Versions(ctx, key) {
			id = v.ID // the last one is the oldest
		}
	}
	return h.Historian.OpenVersion(ctx, key, id, offset, length)
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
