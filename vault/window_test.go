package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

const mib = 1 << 20

// largeValue is a value whose parts differ.
func largeValue(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16) ^ byte(i*7)
	}
	return b
}

// A file is an io.WriterAt in memory.
type file struct {
	mu sync.Mutex
	b  []byte
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if need := int(at) + len(p); need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	return copy(f.b[at:], p), nil
}

// parallel returns the store with n requests at a time.
func parallel(s *vault.Store, n int) *vault.Store {
	p := *s
	p.Parallel = n
	return &p
}

// reads are the ways to read a whole value.
var reads = map[string]func(*vault.Reader) ([]byte, error){
	"Read": func(r *vault.Reader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) },
	"WriteTo": func(r *vault.Reader) ([]byte, error) {
		var b bytes.Buffer
		n, err := r.WriteTo(&b)
		if err == nil && n != int64(b.Len()) {
			err = errors.New("WriteTo returned another length")
		}
		return b.Bytes(), err
	},
	"Download": func(r *vault.Reader) ([]byte, error) {
		var f file
		n, err := r.Download(&f)
		if err == nil && n != int64(len(f.b)) {
			err = errors.New("Download returned another length")
		}
		return f.b, err
	},
}

// TestParallelRead: a large object is read with several requests, and a small one with one.
func TestParallelRead(t *testing.T) {
	s := newStore(t)
	var rec recorder
	v := newVault(t, parallel(intercept.Store(s, rec.hooks()), 3), nil)
	const first = "get 0+8388608"
	for _, tc := range []struct {
		name          vault.Name
		size          int
		order, anyhow int // requests of Read and WriteTo, and of Download
	}{
		{"small", 100, 1, 1}, {"first", 8*mib - 100_000, 1, 1}, {"second", 8 * mib, 2, 2}, {"large", 33 * mib, 7, 5},
	} {
		value := largeValue(tc.size)
		put(t, v, tc.name, string(value), nil)
		for how, read := range reads {
			rec.take()
			r, err := v.Get(t.Context(), tc.name, nil)
			fatal(t, err)
			got, err := read(r)
			if err != nil || !bytes.Equal(got, value) {
				t.Errorf("%s of %s: %d bytes, %v", how, tc.name, len(got), err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s of %s: then %d, %v", how, tc.name, n, err)
			}
			r.Close()
			calls, want := rec.take(), tc.order
			if how == "Download" {
				want = tc.anyhow
			}
			if len(calls) != want || calls[0] != first {
				t.Errorf("%s of %s: requests %q, want %d", how, tc.name, calls, want)
			}
		}
		ranged := vault.Range{Offset: int64(tc.size) / 3, Length: int64(tc.size) / 2}
		if got := get(t, v, tc.name, &vault.GetOptions{Range: &ranged}); got != string(value[ranged.Offset:ranged.Offset+ranged.Length]) {
			t.Errorf("%+v of %s: %d bytes, which are not the range", ranged, tc.name, len(got))
		}
	}
}

// TestParallelReadStops: a reader that stops early, or is closed, costs one request.
func TestParallelReadStops(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", string(largeValue(20*mib)), nil)
	var rec recorder
	v := newVault(t, parallel(intercept.Store(s, rec.hooks()), 3), nil)
	r, err := v.Get(t.Context(), "a", nil)
	fatal(t, err)
	_, err = io.ReadFull(r, make([]byte, 100_000))
	fatal(t, err)
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a Read after Close succeeds")
	}
	if _, err := r.Download(&file{}); err == nil {
		t.Error("a Download after Close succeeds")
	}
	if calls := rec.take(); len(calls) != 1 {
		t.Errorf("requests %q", calls)
	}
}

// TestParallelReadFails: an object that is replaced or removed while it is read, a part that is denied
// and a context that ends are errors, and what was read is the start of the first value.
func TestParallelReadFails(t *testing.T) {
	value := largeValue(33 * mib)
	for name, tc := range map[string]struct {
		then func(t *testing.T, s *vault.Store, stop func()) error // before the third request
		want error
	}{
		"replaced": {func(t *testing.T, s *vault.Store, _ func()) error {
			put(t, newVault(t, s, nil), "a", string(largeValue(33*mib)), nil)
			return nil
		}, vault.ErrUnavailable},
		"removed": {func(t *testing.T, s *vault.Store, _ func()) error {
			return newVault(t, s, nil).Delete(context.Background(), "a", nil)
		}, vault.ErrNotFound},
		"denied":  {func(*testing.T, *vault.Store, func()) error { return vault.ErrPermission }, vault.ErrPermission},
		"stopped": {func(_ *testing.T, _ *vault.Store, stop func()) error { stop(); return nil }, context.Canceled},
	} {
		for how, read := range reads {
			t.Run(name+" "+how, func(t *testing.T) {
				s := newStore(t)
				put(t, newVault(t, s, nil), "a", string(value), nil)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var gets atomic.Int32
				var once sync.Once
				hooked := intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
					var err error
					if c.Op == "get" && gets.Add(1) >= 3 {
						once.Do(func() { err = tc.then(t, s, stop) })
					}
					if err != nil {
						return err
					}
					return do()
				}})
				v := newVault(t, parallel(hooked, 2), nil)
				r, err := v.Get(ctx, "a", nil)
				fatal(t, err)
				defer r.Close()
				got, err := read(r)
				if !errors.Is(err, tc.want) || errors.Is(err, envelope.ErrDecrypt) {
					t.Errorf("%v, want %v", err, tc.want)
				}
				if name == "replaced" && !strings.Contains(fmt.Sprint(err), "replaced") {
					t.Errorf("%v, want an error that says that the object was replaced", err)
				}
				if how != "Download" && !bytes.HasPrefix(value, got) {
					t.Errorf("%d bytes are not the start of the value", len(got))
				}
			})
		}
	}
}

// TestEarlyEndsGiveBack: readers that end early give back the parts that they had requested ahead, so that a later
// reader still requests several at a time.
func TestEarlyEndsGiveBack(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", string(largeValue(33*mib)), nil)
	var rec recorder
	hooks := rec.hooks()
	record := hooks.Call
	type early struct{}
	hooks.Call = func(ctx context.Context, c intercept.Call, do func() error) error {
		if ctx.Value(early{}) != nil { // such a request may come after the Close
			return do()
		}
		return record(ctx, c, do)
	}
	v := newVault(t, parallel(intercept.Store(s, hooks), 3), nil)
	for range 5 {
		r, err := v.Get(context.WithValue(t.Context(), early{}, true), "a", nil)
		fatal(t, err)
		_, err = io.CopyN(io.Discard, r, 9*mib)
		fatal(t, err)
		r.Close()
	}
	value := get(t, v, "a", nil)
	if calls := rec.take(); len(value) != 33*mib || len(calls) != 7 { // 5, if each part has to wait
		t.Errorf("%d bytes, requests %q, want 7", len(value), calls)
	}
}

// TestDownloadVerifies: a damaged byte of any part fails the Download.
func TestDownloadVerifies(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", string(largeValue(20*mib)), nil)
	const key = "bots/0xabc/credentials/a.enc"
	sealed, err := s.Bucket.ReadAll(t.Context(), key)
	fatal(t, err)
	v := newVault(t, parallel(s, 3), nil)
	for _, at := range []int{1000, 8*mib - 1, 8*mib + 1, 12 * mib, len(sealed) - 1} {
		damaged := slices.Clone(sealed)
		damaged[at] ^= 1
		fatal(t, s.Bucket.WriteAll(t.Context(), key, damaged, nil))
		r, err := v.Get(t.Context(), "a", nil)
		fatal(t, err)
		if _, err := r.Download(&file{}); !errors.Is(err, envelope.ErrDecrypt) {
			t.Errorf("byte %d is damaged: %v", at, err)
		}
		r.Close()
	}
}

// TestManyParallelReads: all reads of a Vault together have few parts in progress, and none waits for
// another without end.
func TestManyParallelReads(t *testing.T) {
	const readers, limit = 8, 3
	s := newStore(t)
	value := largeValue(30 * mib)
	put(t, newVault(t, s, nil), "a", string(value), nil)
	var mu sync.Mutex
	open, most := 0, 0
	v := newVault(t, parallel(intercept.Store(s, intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		if c.Length != 5*mib { // not a part that is kept in memory
			return r
		}
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		return &ending{Reader: r, ended: func() {
			mu.Lock()
			defer mu.Unlock()
			open--
		}}
	}}), limit), nil)
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			r, err := v.Get(t.Context(), "a", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, value) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if most == 0 || most > limit {
		t.Errorf("%d parts were in progress at a time, want at most %d", most, limit)
	}
}

// An ending reader calls ended after a part.
type ending struct {
	io.Reader
	ended func()
	n     int
}

func (c *ending) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.n += n; c.n == 5*mib {
		c.ended()
	}
	return n, err
}

// TestWriterFails: an error of the caller's writer is returned as it is, and ends the Reader.
func TestWriterFails(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", string(largeValue(20*mib)), nil)
	v := newVault(t, parallel(s, 3), nil)
	full := errors.New("disk full")
	for name, read := range map[string]func(*vault.Reader) (int64, error){
		"WriteTo":  func(r *vault.Reader) (int64, error) { return r.WriteTo(failingWriter{full}) },
		"Download": func(r *vault.Reader) (int64, error) { return r.Download(failingWriter{full}) },
	} {
		r, err := v.Get(t.Context(), "a", nil)
		fatal(t, err)
		if _, err := read(r); err != full {
			t.Errorf("%s: %v, want %v", name, err, full)
		}
		if n, err := r.WriteTo(io.Discard); n != 0 || err == nil {
			t.Errorf("then WriteTo gives %d, %v, and a part of the value is lost", n, err)
		}
		r.Close()
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error)          { return 0, f.err }
func (f failingWriter) WriteAt([]byte, int64) (int, error) { return 0, f.err }

// TestDownloadOnce: a Download ends the Reader.
func TestDownloadOnce(t *testing.T) {
	s := newStore(t)
	put(t, newVault(t, s, nil), "a", string(largeValue(20*mib)), nil)
	r, err := newVault(t, parallel(s, 3), nil).Get(t.Context(), "a", nil)
	fatal(t, err)
	defer r.Close()
	_, err = r.Download(&file{})
	fatal(t, err)
	if _, err := r.Download(&file{}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("a second Download: %v", err)
	}
}
