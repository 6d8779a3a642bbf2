package memfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/vault"
)

// inParts returns a fill function that writes the object in parts.
func inParts(object []byte) func(io.Writer) error {
	return inPartsWith(object, func(int64) error { return nil })
}

// inPartsWith is inParts; before is called before each part and may fail.
func inPartsWith(object []byte, before func(offset int64) error) func(io.Writer) error {
	return func(w io.Writer) error {
		return w.(vault.PartWriter).WriteParts(vault.Sealed{Size: int64(len(object)), Part: func(p []byte, offset int64) error {
			if err := before(offset); err != nil {
				return err
			}
			if n := copy(p, object[offset:]); n < len(p) {
				return io.ErrUnexpectedEOF
			}
			return nil
		}})
	}
}

// writesOf returns the writes of a store that can take parts.
func writesOf(ctx context.Context, s *vault.Store, key string) map[string]func(fill func(io.Writer) error) error {
	return map[string]func(fill func(io.Writer) error) error{
		"put": func(fill func(io.Writer) error) error { _, err := s.Put.Put(ctx, key, fill); return err },
		"create": func(fill func(io.Writer) error) error {
			if err := s.Bucket.Delete(ctx, key); err != nil {
				return err
			}
			_, err := s.Create.Create(ctx, key, fill)
			return err
		},
		"swap": func(fill func(io.Writer) error) error {
			r, err := s.Bucket.NewReader(ctx, key, nil)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = s.Swap.Swap(ctx, key, s.Tag(r), fill)
			return err
		},
	}
}

func storesOfBothKinds(t *testing.T) map[string]*vault.Store {
	t.Helper()
	all := make(map[string]*vault.Store)
	for name, c := range map[string]Config{"mem": {}, "file": {Dir: newDir(t)}} {
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		all[name] = s
	}
	return all
}

// TestParts: an object that is written in parts has the bytes of the parts, whatever its size.
func TestParts(t *testing.T) {
	const key = "bots/t/large.enc"
	for scheme, s := range storesOfBothKinds(t) {
		if err := put(s, key, "old"); err != nil {
			t.Fatal(err)
		}
		for name, write := range writesOf(t.Context(), s, key) {
			for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, 5*partSize + 17} {
				object := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
				if err := write(inParts(object)); err != nil {
					t.Errorf("%s %s, %d bytes: %v", scheme, name, size, err)
				}
				if got, err := s.Bucket.ReadAll(t.Context(), key); err != nil || !bytes.Equal(got, object) {
					t.Errorf("%s %s: read %d bytes of %d, %v", scheme, name, len(got), size, err)
				}
			}
		}
	}
}

// TestPartsOnProcessors: another part is requested before the first one is written.
func TestPartsOnProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for scheme, s := range storesOfBothKinds(t) {
		var once sync.Once
		var parts atomic.Int32
		second := make(chan struct{})
		_, err := s.Put.Put(t.Context(), "a", inPartsWith(make([]byte, 3*partSize), func(int64) error {
			if parts.Add(1) > 1 {
				once.Do(func() { close(second) })
			}
			select {
			case <-second:
				return nil
			case <-time.After(time.Minute):
				return errors.New("there was no second part")
			}
		}))
		if err != nil || parts.Load() != 3 {
			t.Errorf("%s: %d parts, %v", scheme, parts.Load(), err)
		}
	}
}

// TestPartsFail: if a part fails, or the context ends, the object and the directory are unchanged.
func TestPartsFail(t *testing.T) {
	const key = "bots/t/large.enc"
	object := make([]byte, 5*partSize)
	for scheme, s := range storesOfBothKinds(t) {
		if err := put(s, key, "old"); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("no such part")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for what, tc := range map[string]struct {
			write func(io.Writer) error
			want  error
		}{
			"first part": {inPartsWith(object, func(at int64) error { return failAt(at, 0, broken) }), broken},
			"last part":  {inPartsWith(object, func(at int64) error { return failAt(at, 4*partSize, broken) }), broken},
			"after a write": {func(w io.Writer) error {
				_, err := io.WriteString(w, "x")
				return errors.Join(err, inParts(object)(w))
			}, errPartsFirst},
			"twice": {func(w io.Writer) error { return errors.Join(inParts(object)(w), inParts(object)(w)) }, errPartsFirst},
		} {
			if _, err := s.Put.Put(t.Context(), key, tc.write); !errors.Is(err, tc.want) {
				t.Errorf("%s, %s: %v", scheme, what, err)
			}
		}
		if _, err := s.Put.Put(ctx, key, inPartsWith(object, func(int64) error { cancel(); return nil })); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", scheme, err)
		}
		if got, err := s.Bucket.ReadAll(t.Context(), key); string(got) != "old" || err != nil {
			t.Errorf("%s: %d bytes, %v after failed writes", scheme, len(got), err)
		}
	}
}

func failAt(at, here int64, err error) error {
	if at == here {
		return err
	}
	return nil
}

// TestFullDiskInParts: if the disk is full at any part, nothing has changed.
func TestFullDiskInParts(t *testing.T) {
	const key = "bots/t/large.enc"
	dir := newDir(t)
	var mu sync.Mutex
	writes, fail := 0, -1
	s, err := openTapped(t, Config{Dir: dir}, func(c *call, real func() error) error {
		mu.Lock()
		defer mu.Unlock()
		if c.op == "write" && c.at != nil {
			if writes++; writes == fail {
				return syscall.ENOSPC
			}
		}
		return real()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := put(s, key, "old"); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	object := make([]byte, 3*partSize+1)
	for n := range 4 {
		writes, fail = 0, n+1
		if _, err := s.Put.Put(t.Context(), key, inParts(object)); !errors.Is(err, vault.ErrNoSpace) {
			t.Errorf("write %d failed: %v", fail, err)
		}
		if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
			t.Errorf("write %d failed, but files have changed:\n%s", fail, diff)
		}
	}
	fail = -1
	if _, err := s.Put.Put(t.Context(), key, inParts(object)); err != nil {
		t.Error(err)
	}
}
