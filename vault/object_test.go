package vault_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
)

// A tally is a key source that counts its unwraps.
type tally struct {
	envelope.KeySource
	n *atomic.Int32
}

func (c tally) Unwrap(ctx context.Context, ref envelope.Ref, s envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	c.n.Add(1)
	return c.KeySource.Unwrap(ctx, ref, s, aad)
}

// TestOpen: an Object is a reader, a seeker and an io.ReaderAt of the value.
func TestOpen(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	for _, size := range []int{0, 1, 100, 17_000} {
		value := largeValue(size)
		put(t, v, "a", string(value), nil)
		o, err := v.Open(t.Context(), "a", nil)
		fatal(t, err)
		if err := iotest.TestReader(o, value); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got := o.Info().Size; got != int64(size) {
			t.Errorf("%d bytes: Info has %d", size, got)
		}
		o.Close()
		o.Close()
		if _, err := o.ReadAt(make([]byte, 1), 0); err == nil {
			t.Error("a ReadAt after Close succeeds")
		}
		if _, err := o.Read(make([]byte, 1)); err == nil {
			t.Error("a Read after Close succeeds")
		}
	}
	if _, err := v.Open(t.Context(), "none", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("an absent name: %v", err)
	}
	if _, err := v.Open(t.Context(), "a", &vault.GetOptions{Range: &vault.Range{}}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("with a range: %v", err)
	}
	if _, err := new(vault.Object).ReadAt(nil, 0); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("the zero Object: %v", err)
	}
}

// TestOpenRequests: 1,000 random reads by ten goroutines unwrap the data key once and send at most one
// request each; small objects need none after the first.
func TestOpenRequests(t *testing.T) {
	s := newStore(t)
	value := largeValue(5 * mib)
	plain := newVault(t, s, nil)
	put(t, plain, "large", string(value), nil)
	put(t, plain, "small", "0123456789", nil)
	var rec recorder
	var unwraps atomic.Int32
	v, err := vault.New(intercept.Store(s, rec.hooks()), "0xabc", []envelope.KeySource{tally{keys[0], &unwraps}}, nil)
	fatal(t, err)
	o, err := v.Open(t.Context(), "large", nil)
	fatal(t, err)
	defer o.Close()
	var readers sync.WaitGroup
	for range 10 {
		readers.Go(func() {
			for range 100 {
				p, at := make([]byte, 4096), rand.Int64N(int64(len(value)))
				n, err := o.ReadAt(p, at)
				if want := value[at:min(at+4096, int64(len(value)))]; string(p[:n]) != string(want) || (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
					t.Errorf("ReadAt %d: %d bytes, %v", at, n, err)
				}
			}
		})
	}
	readers.Wait()
	if n, k := len(rec.take()), unwraps.Load(); n > 1001 || k != 1 {
		t.Errorf("%d requests and %d unwraps, want at most 1001 and 1", n, k)
	}
	fatal(t, iotest.TestReader(must(v.Open(t.Context(), "small", nil)), []byte("0123456789")))
	if calls := rec.take(); len(calls) != 1 {
		t.Errorf("requests %q for a small object, want one", calls)
	}
	// What http.ServeContent does: the size, the start, and everything in order.
	_, err = o.Seek(0, io.SeekEnd)
	fatal(t, err)
	_, err = o.Seek(0, io.SeekStart)
	fatal(t, err)
	if got, err := io.ReadAll(o); string(got) != string(value) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if calls := rec.take(); len(calls) > 2 {
		t.Errorf("requests %q for everything in order, want at most two", calls)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestOpenReplaced: an Object never mixes two objects.
func TestOpenReplaced(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	put(t, v, "a", string(largeValue(300_000)), nil)
	o, err := v.Open(t.Context(), "a", nil)
	fatal(t, err)
	defer o.Close()
	put(t, v, "a", string(largeValue(300_000)), nil)
	var e *vault.Error
	if n, err := o.ReadAt(make([]byte, 100), 200_000); n != 0 || !errors.Is(err, vault.ErrUnavailable) || !errors.As(err, &e) || e.Name != "a" {
		t.Errorf("after a replacement: %d bytes, %v", n, err)
	}
	fatal(t, v.Delete(t.Context(), "a", nil))
	if n, err := o.ReadAt(make([]byte, 100), 200_000); n != 0 || !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("after a removal: %d bytes, %v", n, err)
	}
}

// TestOpenVersion: an old version can be opened, and stays readable when the object is replaced.
func TestOpenVersion(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	first := largeValue(200_000)
	put(t, v, "a", string(first), nil)
	put(t, v, "a", "second", nil)
	o, err := v.Open(t.Context(), "a", &vault.GetOptions{Version: "@2"})
	fatal(t, err)
	defer o.Close()
	put(t, v, "a", "third", nil)
	p := make([]byte, 1000)
	if n, err := o.ReadAt(p, 150_000); n != len(p) || err != nil || string(p) != string(first[150_000:151_000]) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestOpenCut: a store that cuts an object at the end of a segment is found before a position relative to
// the end, and before the end, is returned.
func TestOpenCut(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	put(t, v, "a", string(largeValue(300_000)), nil)
	const key = "bots/0xabc/credentials/a.enc"
	sealed, err := s.Bucket.ReadAll(t.Context(), key)
	fatal(t, err)
	info, err := v.Stat(t.Context(), "a")
	fatal(t, err)
	header := info.SealedSize - info.Size - 40 - 16*5
	fatal(t, s.Bucket.WriteAll(t.Context(), key, sealed[:header+3*65536], nil))
	o, err := v.Open(t.Context(), "a", nil)
	fatal(t, err)
	defer o.Close()
	if at, err := o.Seek(-10, io.SeekEnd); !errors.Is(err, envelope.ErrDecrypt) {
		t.Errorf("Seek gives %d, %v", at, err)
	}
	size := o.Info().Size
	for _, at := range []int64{size - 10, size, size + 10} {
		if n, err := o.ReadAt(make([]byte, 100), at); n != 0 || !errors.Is(err, envelope.ErrDecrypt) {
			t.Errorf("ReadAt %d of %d: %d bytes, %v", at, size, n, err)
		}
	}
	if n, err := o.ReadAt(make([]byte, 100), 1000); n != 100 || err != nil {
		t.Errorf("ReadAt 1000: %d bytes, %v", n, err)
	}
}

// TestIfNoneTag: an unchanged object costs one request and no unwrap.
func TestIfNoneTag(t *testing.T) {
	s := newStore(t)
	var rec recorder
	var unwraps atomic.Int32
	v, err := vault.New(intercept.Store(s, rec.hooks()), "0xabc", []envelope.KeySource{tally{keys[0], &unwraps}}, nil)
	fatal(t, err)
	info := put(t, v, "a", "first", nil)
	for _, part := range []*vault.Range{nil, {Offset: 1}} {
		o := &vault.GetOptions{IfNoneTag: info.Tag, Range: part}
		rec.take()
		unwraps.Store(0)
		if _, err := v.Get(t.Context(), "a", o); !errors.Is(err, vault.ErrUnchanged) {
			t.Errorf("unchanged: %v", err)
		}
		if calls := rec.take(); len(calls) != 1 || unwraps.Load() != 0 {
			t.Errorf("requests %q and %d unwraps, want 1 and 0", calls, unwraps.Load())
		}
	}
	if _, err := v.Open(t.Context(), "a", &vault.GetOptions{IfNoneTag: info.Tag}); !errors.Is(err, vault.ErrUnchanged) {
		t.Errorf("Open: %v", err)
	}
	// Another Vault replaces the value. What this one has stored is not the current object.
	put(t, newVault(t, s, nil), "a", "second", nil)
	for part, want := range map[*vault.Range]string{nil: "second", {Offset: 1}: "econd"} {
		if got := get(t, v, "a", &vault.GetOptions{IfNoneTag: info.Tag, Range: part}); got != want {
			t.Errorf("changed: %q, want %q", got, want)
		}
	}
	if _, err := v.Get(t.Context(), "none", &vault.GetOptions{IfNoneTag: info.Tag}); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("an absent name: %v", err)
	}
}

// TestIfNoneTagRollback: a store that returns the old object again, whose value the caller has, is found.
func TestIfNoneTagRollback(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	info := put(t, v, "a", "first", nil)
	const key = "bots/0xabc/credentials/a.enc"
	old, err := s.Bucket.ReadAll(t.Context(), key)
	fatal(t, err)
	put(t, v, "a", "second", nil)
	fatal(t, s.Bucket.WriteAll(t.Context(), key, old, nil))
	if _, err := v.Get(t.Context(), "a", &vault.GetOptions{IfNoneTag: info.Tag}); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("%v, want %v", err, vault.ErrRollback)
	}
}

// TestIfNoneTagSeen: a rollback is also found by a Vault that only knows what this machine has recorded.
func TestIfNoneTagSeen(t *testing.T) {
	s := newStore(t)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	fatal(t, err)
	v := newVault(t, s, &vault.Options{Seen: log})
	info := put(t, v, "a", "first", nil)
	const key = "bots/0xabc/credentials/a.enc"
	old, err := s.Bucket.ReadAll(t.Context(), key)
	fatal(t, err)
	put(t, v, "a", "second", nil)
	fatal(t, s.Bucket.WriteAll(t.Context(), key, old, nil))
	for _, part := range []*vault.Range{nil, {Offset: 1}} {
		_, err := newVault(t, s, &vault.Options{Seen: log}).Get(t.Context(), "a", &vault.GetOptions{IfNoneTag: info.Tag, Range: part})
		if !errors.Is(err, vault.ErrRollback) {
			t.Errorf("%v, want %v", err, vault.ErrRollback)
		}
	}
}

// TestObserve: each request is one event.
func TestObserve(t *testing.T) {
	var events []vault.Event
	v := newVault(t, newStore(t), &vault.Options{Observe: func(_ context.Context, e vault.Event) { events = append(events, e) }})
	put(t, v, "a", "value", nil)
	get(t, v, "a", nil)
	v.Get(t.Context(), "none", nil)
	fatal(t, v.Delete(t.Context(), "a", nil))
	const key = "bots/0xabc/credentials/a.enc"
	want := []vault.Event{
		{Op: "put", Key: key}, {Op: "get", Key: key}, {Op: "get", Key: "bots/0xabc/credentials/none.enc", Err: vault.ErrNotFound}, {Op: "delete", Key: key},
	}
	if len(events) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(events), len(want), events)
	}
	for i, e := range events {
		if e.Op != want[i].Op || e.Key != want[i].Key || !errors.Is(e.Err, want[i].Err) || e.Tenant != "0xabc" || e.Attempt != 1 || e.Keys != 1 || e.Duration < 0 || (e.Bytes > 100) != (i < 2) {
			t.Errorf("event %d: %+v, want %+v", i, e, want[i])
		}
	}
}
