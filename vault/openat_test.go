package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// newDirStore returns a store in a directory.
func newDirStore(t *testing.T) (s *vault.Store, dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := memfs.Open(t.Context(), memfs.Config{Dir: filepath.Join(dir, "store")})
	fatal(t, err)
	t.Cleanup(func() { s.Close() })
	return s, filepath.Join(dir, "store", "bots", "0xabc", "credentials")
}

// A meeting is a file whose first write waits for the next one, which another goroutine must make.
type meeting struct {
	file
	once sync.Once
	met  chan struct{}
	n    int
}

func (m *meeting) WriteAt(p []byte, at int64) (int, error) {
	m.mu.Lock()
	m.n++
	first := m.n == 1
	m.mu.Unlock()
	if first {
		select {
		case <-m.met:
		case <-time.After(time.Minute):
			return 0, errors.New("there was no second write")
		}
	} else {
		m.once.Do(func() { close(m.met) })
	}
	return m.file.WriteAt(p, at)
}

// TestDownloadOnProcessors: a large object of a store that can be read at any offset is opened by several
// goroutines at a time.
func TestDownloadOnProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	dirStore, _ := newDirStore(t)
	for scheme, s := range map[string]*vault.Store{"mem": newStore(t), "file": dirStore} {
		var events []vault.Event
		v := newVault(t, s, &vault.Options{Observe: func(_ context.Context, e vault.Event) { events = append(events, e) }})
		for _, size := range []int{8*mib + 1, 20*mib + 17} {
			value := largeValue(size)
			old := put(t, v, "a", string(value), nil)
			put(t, v, "a", "new", nil)
			for _, o := range []*vault.GetOptions{nil, {Version: old.Version}} {
				if o == nil {
					put(t, v, "a", string(value), nil)
				}
				r, err := v.Get(t.Context(), "a", o)
				fatal(t, err)
				events = nil
				f := &meeting{met: make(chan struct{})}
				n, err := r.Download(f)
				r.Close()
				if err != nil || n != int64(size) || !bytes.Equal(f.b, value) {
					t.Errorf("%s, %d bytes, %+v: got %d bytes, %v", scheme, size, o, n, err)
				}
				if len(events) != 1 || events[0].Bytes != old.SealedSize {
					t.Errorf("%s, %d bytes, %+v: events %+v, want one of %d bytes", scheme, size, o, events, old.SealedSize)
				}
			}
		}
	}
}

// A hook is a file that calls do before its first write.
type hook struct {
	file
	once sync.Once
	do   func()
}

func (h *hook) WriteAt(p []byte, at int64) (int, error) {
	h.once.Do(h.do)
	return h.file.WriteAt(p, at)
}

// TestDownloadOfReplaced: a Download of an object that is replaced or removed meanwhile returns the old one.
func TestDownloadOfReplaced(t *testing.T) {
	s, _ := newDirStore(t)
	v := newVault(t, s, nil)
	value := largeValue(20 * mib)
	for name, change := range map[string]func(){
		"replaced": func() { put(t, v, "a", "new", nil) },
		"removed":  func() { fatal(t, v.Delete(t.Context(), "a", nil)) },
	} {
		put(t, v, "a", string(value), nil)
		r, err := v.Get(t.Context(), "a", nil)
		fatal(t, err)
		defer r.Close()
		f := &hook{do: change}
		if _, err := r.Download(f); err != nil || !bytes.Equal(f.b, value) {
			t.Errorf("%s: got %d bytes, %v", name, len(f.b), err)
		}
	}
}

// TestDownloadAtFails: a damaged or truncated file, a failure of the writer and a cancelled context end the
// Download, each with its own error.
func TestDownloadAtFails(t *testing.T) {
	s, dir := newDirStore(t)
	v := newVault(t, s, nil)
	path := filepath.Join(dir, "a.enc")
	size := int64(20 * mib)
	full := errors.New("disk full")
	flip := func(offset int64) func(f *os.File) error {
		return func(f *os.File) error {
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, offset); err != nil {
				return err
			}
			b[0] ^= 1
			_, err := f.WriteAt(b, offset)
			return err
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	for name, tc := range map[string]struct {
		damage func(f *os.File) error
		during func()
		writer io.WriterAt
		want   error
	}{
		"first segment": {damage: flip(2000), want: envelope.ErrDecrypt},
		"middle":        {damage: flip(size / 2), want: envelope.ErrDecrypt},
		"last segment":  {damage: flip(size), want: envelope.ErrDecrypt},
		"truncated":     {during: func() { fatal(t, os.Truncate(path, size/2)) }, want: vault.ErrUnavailable},
		"writer":        {writer: failingWriter{full}, want: full},
		"cancelled":     {during: cancel, want: context.Canceled},
	} {
		put(t, v, "a", string(largeValue(int(size))), nil)
		if tc.damage != nil {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			fatal(t, err)
			fatal(t, tc.damage(f))
			fatal(t, f.Close())
		}
		r, err := v.Get(ctx, "a", nil)
		if errors.Is(err, tc.want) { // the first segment is opened by Get
			continue
		}
		if err != nil {
			t.Errorf("%s: get: %v", name, err)
			continue
		}
		if tc.during == nil {
			tc.during = func() {}
		}
		if tc.writer == nil {
			tc.writer = &hook{do: tc.during}
		}
		_, err = r.Download(tc.writer)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if _, again := r.Read(make([]byte, 1)); !errors.Is(again, tc.want) {
			t.Errorf("%s: then %v", name, again)
		}
		r.Close()
		if name == "cancelled" {
			ctx, cancel = context.WithCancel(t.Context())
		}
	}
	cancel()
}
