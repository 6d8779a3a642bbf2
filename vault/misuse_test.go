package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"io"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// TestZeroValues: a nil or zero argument is an error, not a panic.
func TestZeroValues(t *testing.T) {
	ctx := t.Context()
	for name, open := range map[string]func() (*vault.Vault, error){
		"nil store":      func() (*vault.Vault, error) { return vault.New(nil, "acme", keys, nil) },
		"empty store":    func() (*vault.Vault, error) { return vault.New(&vault.Store{}, "acme", keys, nil) },
		"nil key source": func() (*vault.Vault, error) { return vault.New(newStore(t), "acme", []envelope.KeySource{nil}, nil) },
	} {
		if _, err := open(); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
	var v vault.Vault
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s of a zero Vault: %v, want ErrConfig", what, err)
		}
	}
	_, err := v.Put(ctx, "a", strings.NewReader(""), nil)
	check("put", err)
	_, err = v.Get(ctx, "a", nil)
	check("get", err)
	_, err = v.Stat(ctx, "a")
	check("stat", err)
	check("delete", v.Delete(ctx, "a", nil))
	for _, err := range v.List(ctx, nil) {
		check("list", err)
	}
	for _, err := range v.History(ctx, "a") {
		check("history", err)
	}
	_, err = v.Rollback(ctx, "a", "@1")
	check("rollback", err)
	_, err = v.Undelete(ctx, "a")
	check("undelete", err)
	_, err = v.Teardown(ctx, nil)
	check("teardown", err)
	_, err = newVault(t, newStore(t), nil).Put(ctx, "a", nil, nil)
	check("nil reader", err)
	var r vault.Reader
	_, err = r.Read(make([]byte, 1))
	check("read", err)
	if err := r.Close(); err != nil {
		t.Errorf("close of a zero Reader: %v", err)
	}
}

// TestClosedStore: after Close every operation fails with ErrClosed, never with ErrExist.
func TestClosedStore(t *testing.T) {
	ctx := t.Context()
	for name, open := range map[string]func() *vault.Store{
		"mem": func() *vault.Store { return newStore(t) },
		"file": func() *vault.Store {
			s, err := memfs.Open(ctx, memfs.Config{Dir: t.TempDir() + "/store"})
			fatal(t, err)
			return s
		},
		"memblob": func() *vault.Store { b := memblob.OpenBucket(nil); return &vault.Store{Bucket: b, Close: b.Close} },
	} {
		s := open()
		v := newVault(t, s, nil)
		info := put(t, v, "a", "1", nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		ops := map[string]func() error{
			"put": func() error { _, err := v.Put(ctx, "b", strings.NewReader("1"), nil); return err },
			"create": func() error {
				_, err := v.Put(ctx, "c", strings.NewReader("1"), &vault.PutOptions{Create: true})
				return err
			},
			"get":      func() error { return closed(v.Get(ctx, "a", nil)) },
			"stat":     func() error { _, err := v.Stat(ctx, "a"); return err },
			"delete":   func() error { return v.Delete(ctx, "a", nil) },
			"teardown": func() error { _, err := v.Teardown(ctx, nil); return err },
			"list": func() error {
				for _, err := range v.List(ctx, nil) {
					return err
				}
				return nil
			},
		}
		if s.Swap != nil {
			ops["swap"] = func() error {
				_, err := v.Put(ctx, "a", strings.NewReader("1"), &vault.PutOptions{IfRevision: info.Revision})
				return err
			}
		}
		if s.History != nil {
			ops["history"] = func() error {
				for _, err := range v.History(ctx, "a") {
					return err
				}
				return nil
			}
		}
		for op, do := range ops {
			if err := do(); !errors.Is(err, vault.ErrClosed) || errors.Is(err, vault.ErrExist) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("%s: %s after Close: %v, want ErrClosed", name, op, err)
			}
		}
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSourceErrors: an error of the caller's reader is never reported as an error of the store.
func TestSourceErrors(t *testing.T) {
	ctx := t.Context()
	source := newVault(t, newStore(t), nil)
	own := errors.New("own")
	_, notFound := source.Get(ctx, "absent", nil)
	for _, size := range []int64{0, 3 << 20} {
		for _, cause := range []error{
			own, notFound, vault.ErrUnauthenticated, vault.ErrExist, vault.ErrUnavailable, envelope.ErrDecrypt, fs.ErrPermission,
			&vault.Cause{Sentinel: vault.ErrPermission}, &vault.Error{Op: "get", Name: "source", Err: vault.ErrUnauthenticated},
		} {
			v := newVault(t, newStore(t), nil)
			_, err := v.Put(ctx, "a", io.MultiReader(io.LimitReader(zeros{}, size), iotest.ErrReader(cause)), nil)
			var e *vault.Error
			if !errors.As(err, &e) || e.Op != "put" || e.Name != "a" {
				t.Errorf("%v: the error is %#v, want one with Op put and Name a", cause, err)
			}
			var se *vault.SourceError
			if !errors.As(err, &se) || se.Err != cause {
				t.Errorf("%v: no SourceError in %v", cause, err)
			}
			for _, s := range []error{vault.ErrNotFound, vault.ErrUnauthenticated, vault.ErrExist, vault.ErrUnavailable, vault.ErrPermission, envelope.ErrDecrypt} {
				if errors.Is(err, s) {
					t.Errorf("the reader's error %v is reported as the store's error %v", cause, s)
				}
			}
			if c := (*vault.Cause)(nil); errors.As(err, &c) {
				t.Errorf("the reader's error %v is reported as a Cause of the store", cause)
			}
			if (cause == own || cause == fs.ErrPermission) && !errors.Is(err, cause) {
				t.Errorf("the error %[2]v does not wrap the reader's error %[1]v", cause, err)
			}
			if got := names(t, v, ""); got != nil {
				t.Errorf("%v: the store contains %q", cause, got)
			}
		}
	}
}

// TestClose: Close returns nil before the end, after a cut body, and when it is called again.
func TestClose(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", strings.Repeat("0123456789", 50_000), nil)
	cut := intercept.Store(s, intercept.Hooks{Body: func(_ intercept.Call, r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 70_000), iotest.ErrReader(io.ErrUnexpectedEOF))
	}})
	for name, store := range map[string]*vault.Store{"whole": s, "cut": cut} {
		for _, n := range []int64{0, 10, 1 << 30} {
			r, err := newVault(t, store, nil).Get(t.Context(), "a", nil)
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, r, n)
			for range 3 {
				if err := r.Close(); err != nil {
					t.Errorf("%s: close after %d bytes: %v", name, n, err)
				}
			}
			if _, err := r.Read(make([]byte, 10)); n < 1<<30 && err == nil {
				t.Errorf("%s: a read after close succeeds", name)
			}
		}
	}
}

// TestPutInfo: the Info that Put returns matches the sealed object.
func TestPutInfo(t *testing.T) {
	v := newVault(t, newStore(t), nil)
	labels := map[string]string{"team": "red"}
	zone := time.FixedZone("elsewhere", 3600)
	o := &vault.PutOptions{Expires: time.Date(2030, 1, 2, 3, 4, 5, 678, zone), Labels: labels}
	info := put(t, v, "a", "1", o)
	labels["team"] = "blue"
	stat, err := v.Stat(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	info.Modified, info.Version = stat.Modified, ""
	if diff := cmp.Diff(stat, info); diff != "" {
		t.Errorf("put and stat differ (-stat +put):\n%s", diff)
	}
	if info.Labels["team"] != "red" || info.Expires.Location() != time.UTC {
		t.Errorf("put returned %+v", info)
	}
}

// TestNoTag: if the store returns no tag, a conditional write stores nothing.
func TestNoTag(t *testing.T) {
	s := newStore(t)
	info := put(t, newVault(t, s, nil), "a", "old", nil)
	var rec recorder
	tagless := *intercept.Store(s, rec.hooks())
	tagless.Tag = func(*blob.Reader) string { return "" }
	v := newVault(t, &tagless, nil)
	for _, o := range []*vault.PutOptions{{IfRevision: info.Revision}, {IfTag: info.Tag}} {
		_, err := v.Put(t.Context(), "a", strings.NewReader("new"), o)
		if !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("%+v without a tag: %v, want ErrUnsupported", o, err)
		}
		if diff := cmp.Diff([]string{"get 0+16384"}, rec.take()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
}

// TestCheckSwap: a store without compare-and-swap is known before a write. A deferred store is opened.
func TestCheckSwap(t *testing.T) {
	s := newStore(t)
	without := *s
	without.Swap = nil
	for _, tc := range []struct {
		store *vault.Store
		want  error
	}{
		{s, nil}, {&without, vault.ErrUnsupported},
		{vault.Deferred("s", func(context.Context) (*vault.Store, error) { return s, nil }), nil},
		{vault.Deferred("s", func(context.Context) (*vault.Store, error) { return &without, nil }), vault.ErrUnsupported},
		{vault.Deferred("s", func(context.Context) (*vault.Store, error) { return nil, vault.ErrUnavailable }), vault.ErrUnavailable},
	} {
		if err := newVault(t, tc.store, nil).CheckSwap(t.Context()); !errors.Is(err, tc.want) {
			t.Errorf("%v, want %v", err, tc.want)
		}
	}
}

// TestIfTag: the tag distinguishes objects that share a revision.
func TestIfTag(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o := &vault.Options{Now: func() time.Time { return at }}
	s := newStore(t)
	info := put(t, newVault(t, s, o), "a", "mine", nil)
	theirs := put(t, newVault(t, s, o), "a", "theirs", nil) // in the same microsecond
	if info.Revision != theirs.Revision || info.Tag == theirs.Tag || len(info.Tag) < 32 {
		t.Fatalf("revisions %d and %d, tags %q and %q", info.Revision, theirs.Revision, info.Tag, theirs.Tag)
	}
	v := newVault(t, s, o)
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{IfTag: info.Tag}); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("put over another writer's object with the same revision: %v, want ErrConflict", err)
	}
	if _, err := v.Put(t.Context(), "b", strings.NewReader("x"), &vault.PutOptions{IfTag: info.Tag}); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("put over an absent object: %v, want ErrConflict", err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), &vault.PutOptions{IfRevision: theirs.Revision, IfRewrap: 1}); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("put if rewrap 1 over an object that was never rewrapped: %v, want ErrConflict", err)
	}
	for _, o := range []*vault.PutOptions{{Create: true, IfTag: "x"}, {IfTag: "x", IfRevision: 1}, {Create: true, IfRevision: 1}, {IfRewrap: 1}} {
		if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), o); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", o, err)
		}
	}
	if info = put(t, v, "a", "swapped", &vault.PutOptions{IfTag: theirs.Tag}); get(t, v, "a", nil) != "swapped" {
		t.Error("a put with the right tag was not stored")
	}
	// A conditional delete works the same, if the store supports it.
	err := v.Delete(t.Context(), "a", &vault.DeleteOptions{IfTag: theirs.Tag})
	if s.RemoveIf == nil {
		if !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("delete if tag = %v, want ErrUnsupported", err)
		}
		return
	}
	if !errors.Is(err, vault.ErrConflict) {
		t.Errorf("delete with the tag of a replaced object: %v, want ErrConflict", err)
	}
	if err := v.Delete(t.Context(), "a", &vault.DeleteOptions{IfTag: info.Tag}); err != nil {
		t.Errorf("delete if tag = %v", err)
	}
	if _, err := v.Get(t.Context(), "a", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get after the delete = %v", err)
	}
}

// TestIfRewrap: a put conditional on a revision does not replace an object that was rewrapped
// after it was read.
func TestIfRewrap(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	v := newVault(t, s, nil)
	info := put(t, v, "a", "1", nil)
	const key = "bots/0xabc/credentials/a.enc"
	sealed, err := s.Bucket.ReadAll(ctx, key)
	fatal(t, err)
	header, err := envelope.ReadHeader(bytes.NewReader(sealed))
	fatal(t, err)
	again, err := envelope.Rewrap(ctx, header, envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "a"}, keys, keys)
	fatal(t, err)
	fatal(t, s.Bucket.WriteAll(ctx, key, append(again, sealed[header.Len():]...), nil))
	stat, err := v.Stat(ctx, "a")
	if err != nil || stat.Revision != info.Revision || stat.Rewrap != 1 || stat.Tag == info.Tag {
		t.Fatalf("stat after a re-wrap = %+v, %v", stat, err)
	}
	for _, o := range []*vault.PutOptions{{IfRevision: info.Revision}, {IfTag: info.Tag}} {
		if _, err := v.Put(ctx, "a", strings.NewReader("2"), o); !errors.Is(err, vault.ErrConflict) {
			t.Errorf("put %+v undoes a re-wrap: %v, want ErrConflict", o, err)
		}
	}
	put(t, v, "a", "2", &vault.PutOptions{IfRevision: info.Revision, IfRewrap: 1})
}

// TestOverlappingPuts: a put with a slow reader gets a later revision than a put that ended
// before it.
func TestOverlappingPuts(t *testing.T) {
	for _, size := range []int64{10, 3 << 20} {
		s := newStore(t)
		v := newVault(t, s, nil)
		var quick vault.Info
		slow := readerFunc(func([]byte) (int, error) {
			if quick.Revision == 0 {
				quick = put(t, v, "a", "quick", nil)
			}
			return 0, io.EOF
		})
		info, err := v.Put(t.Context(), "a", io.MultiReader(io.LimitReader(zeros{}, size), slow), nil)
		switch {
		case size == 10 && (err != nil || info.Revision <= quick.Revision):
			t.Errorf("the slow put has revision %d, the quick one had %d, %v", info.Revision, quick.Revision, err)
		case size != 10 && !errors.Is(err, vault.ErrConflict):
			t.Errorf("a stream that was overtaken: %v, want ErrConflict", err)
		}
		stat, err := newVault(t, s, nil).Stat(t.Context(), "a")
		if err != nil || stat.Revision < quick.Revision {
			t.Errorf("%d bytes: the revision fell from %d to %d, %v", size, quick.Revision, stat.Revision, err)
		}
	}
}

// TestLog parses the log and compares its attributes.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t)
	fail := true
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "get" && fail {
			fail = false
			return errReset
		}
		return do()
	}}), &vault.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	put(t, v, "a", "value", nil)
	put(t, v, "b", "value", nil)
	if _, err := v.Get(t.Context(), "a", nil); err == nil {
		t.Error("the request was not lost")
	}
	get(t, v, "a", nil)
	o, err := s.Bucket.Attributes(t.Context(), "bots/0xabc/credentials/a.enc")
	fatal(t, err)
	sealed := o.Size
	names(t, v, "")
	if _, err := v.Teardown(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	type line struct {
		Op, Key, Status, Tenant string
		Keys, Attempt           int
		Bytes                   int64
		Duration                *int64 // nanoseconds
		Time                    time.Time
	}
	const prefix = "bots/0xabc/credentials/"
	want := []line{
		{Op: "put", Key: prefix + "a.enc", Status: "ok", Keys: 1, Bytes: sealed},
		{Op: "put", Key: prefix + "b.enc", Status: "ok", Keys: 1, Bytes: sealed},
		{Op: "get", Key: prefix + "a.enc", Status: "unavailable", Keys: 1},
		{Op: "get", Key: prefix + "a.enc", Status: "ok", Keys: 1, Bytes: sealed},
		{Op: "list", Key: prefix, Status: "ok", Keys: 2},
		{Op: "list", Key: prefix, Status: "ok", Keys: 2},
		{Op: "delete", Key: prefix + "a.enc", Status: "ok", Keys: 2},
		{Op: "leftovers", Key: prefix, Status: "ok", Keys: 4},
	}
	var got []line
	for text := range strings.Lines(log.String()) {
		if n := strings.Count(text, `"time":`); n != 1 {
			t.Errorf("%d attributes are called time: %s", n, text)
		}
		var l line
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		if l.Duration == nil || *l.Duration < 0 || l.Time.IsZero() || l.Tenant != "0xabc" || l.Attempt != 1 {
			t.Errorf("duration, time, tenant or attempt are wrong: %s", text)
		}
		l.Duration, l.Time, l.Tenant, l.Attempt = nil, time.Time{}, "", 0
		got = append(got, l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if strings.Contains(log.String(), "value") {
		t.Error("the log contains a value")
	}
}
