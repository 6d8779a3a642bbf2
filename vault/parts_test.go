package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/vault"
)

// A partStore takes objects in parts of partSize, four at a time.
type partStore struct {
	bucket *blob.Bucket
	mu     sync.Mutex
	taken  int            // objects that were stored in parts
	before func(at int64) // called before a part is requested; may be nil
}

const testPart = 1_000_003 // no multiple of a segment

// newPartStore returns a store whose Put, Create and Swap take parts.
func newPartStore(t *testing.T) (*vault.Store, *partStore) {
	s := newStore(t)
	p := &partStore{bucket: s.Bucket}
	s.Put = p
	return s, p
}

func (s *partStore) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	w := &partBuffer{s: s}
	if err := fill(w); err != nil {
		return "", err
	}
	return "", s.bucket.WriteAll(ctx, key, w.Bytes(), nil)
}

// A partBuffer is an object in memory.
type partBuffer struct {
	s *partStore
	bytes.Buffer
}

func (b *partBuffer) WriteParts(sealed vault.Sealed) error {
	b.s.mu.Lock()
	b.s.taken++
	b.s.mu.Unlock()
	object := make([]byte, sealed.Size)
	var parts errgroup.Group
	parts.SetLimit(4)
	for from := int64(0); from < sealed.Size; from += testPart {
		parts.Go(func() error {
			if b.s.before != nil {
				b.s.before(from)
			}
			return sealed.Part(object[from:min(from+testPart, sealed.Size)], from)
		})
	}
	err := parts.Wait()
	b.Write(object)
	return err
}

const partValue = 9<<20 + 12_345

// valueFile returns a file with value after prefix. Its position is the start of the value.
func valueFile(t *testing.T, prefix, value string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(name, []byte(prefix+value), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Seek(int64(len(prefix)), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

func content(open func() io.ReadCloser, size int64) *vault.Content {
	return &vault.Content{Size: size, Open: func() (io.ReadCloser, error) { return open(), nil }}
}

// upper returns other bytes than its file.
type upper struct{ *os.File }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.File.Read(p)
	for i := range p[:n] {
		p[i] = 'X'
	}
	return n, err
}

// changed has other bytes than its file from 2 MiB on, and ends after 5 MiB.
type changed struct {
	*os.File
	n *int
}

func (c changed) Read(p []byte) (int, error) {
	if *c.n >= 5<<20 {
		return 0, io.EOF
	}
	n, err := c.File.Read(p[:min(len(p), 5<<20-*c.n)])
	for i := range p[:n] {
		if *c.n+i >= 2<<20 {
			p[i] = 'X'
		}
	}
	*c.n += n
	return n, err
}

func (c changed) Seek(offset int64, whence int) (int64, error) {
	at, err := c.File.Seek(offset, whence)
	*c.n = int(at)
	return at, err
}

func (c changed) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{c}) }

func (u upper) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{u}) }

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

// Values that can be read at any offset are stored in parts, others as a stream. A value is the same in
// both ways, and its reader is at its end afterwards.
func TestParts(t *testing.T) {
	value := strings.Repeat("0123456789abcdefghi", partValue/19+1)[:partValue]
	part := func(r io.ReadSeeker) io.Reader { r.Seek(7, io.SeekStart); return r }
	for name, tc := range map[string]struct {
		r     io.Reader
		want  string
		parts int
	}{
		"file":                             {valueFile(t, "", value), value, 1},
		"rest of a file":                   {valueFile(t, "some bytes before", value), value, 1},
		"bytes":                            {bytes.NewReader([]byte(value)), value, 1},
		"rest of a string":                 {part(strings.NewReader(value)), value[7:], 1},
		"content":                          {content(func() io.ReadCloser { return valueFile(t, "", value) }, partValue), value, 1},
		"content of an unknown type":       {content(func() io.ReadCloser { return closer{bytes.NewReader([]byte(value))} }, partValue), value, 0},
		"content that is a stream":         {content(func() io.ReadCloser { return io.NopCloser(iotest.HalfReader(strings.NewReader(value))) }, partValue), value, 0},
		"stream":                           {iotest.HalfReader(strings.NewReader(value)), value, 0},
		"short file":                       {valueFile(t, "", value[:8<<20]), value[:8<<20], 0},
		"file, a byte more":                {valueFile(t, "", value[:8<<20+1]), value[:8<<20+1], 1},
		"content at an offset":             {content(func() io.ReadCloser { return valueFile(t, "some bytes before", value) }, partValue), value, 1},
		"a file, changed by Read":          {upper{valueFile(t, "", value)}, strings.Repeat("X", partValue), 0},
		"content, changed by Read":         {content(func() io.ReadCloser { return upper{valueFile(t, "", value)} }, partValue), strings.Repeat("X", partValue), 0},
		"a file, changed later by Read":    {changed{valueFile(t, "", value), new(int)}, value[:2<<20] + strings.Repeat("X", 3<<20), 0},
		"content, changed later by Read":   {content(func() io.ReadCloser { return changed{valueFile(t, "", value), new(int)} }, 5<<20), value[:2<<20] + strings.Repeat("X", 3<<20), 0},
		"section, whose cost is not known": {io.NewSectionReader(strings.NewReader(value), 0, partValue), value, 0},
	} {
		t.Run(name, func(t *testing.T) {
			store, p := newPartStore(t)
			v := newVault(t, store, nil)
			info, err := v.Put(t.Context(), "a", tc.r, nil)
			if err != nil || info.Size != int64(len(tc.want)) || p.taken != tc.parts {
				t.Fatalf("%d bytes, %d objects in parts, %v", info.Size, p.taken, err)
			}
			if got := get(t, v, "a", nil); got != tc.want {
				t.Errorf("%d bytes differ from the %d that were put", len(got), len(tc.want))
			}
			if stat, err := v.Stat(t.Context(), "a"); err != nil || stat.SealedSize != info.SealedSize {
				t.Errorf("sealed size %d, after the put %d, %v", stat.SealedSize, info.SealedSize, err)
			}
			if n, err := tc.r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the reader returns %d bytes, %v after the put", n, err)
			}
		})
	}
}

// If a value changes, fails or panics while it is read in parts, nothing is stored.
func TestPartsRefuse(t *testing.T) {
	value := strings.Repeat("x", partValue)
	broken := errors.New("disk broken")
	later := func(change func()) func(int64) {
		return func(at int64) {
			if at == 5*testPart {
				change()
			}
		}
	}
	for name, tc := range map[string]struct {
		value  func(*testing.T) (r io.Reader, change func())
		want   error
		source bool
	}{
		"longer": {func(t *testing.T) (io.Reader, func()) {
			f := valueFile(t, "", value)
			return f, func() { f.WriteAt([]byte("y"), partValue) }
		}, nil, true},
		"shorter": {func(t *testing.T) (io.Reader, func()) {
			f := valueFile(t, "", value)
			return f, func() { f.Truncate(100) }
		}, io.ErrUnexpectedEOF, true},
		"written": {func(t *testing.T) (io.Reader, func()) {
			f := valueFile(t, "", value)
			return f, func() { os.Chtimes(f.Name(), time.Time{}, time.Now().Add(time.Hour)) }
		}, nil, true},
		"content longer than its size": {func(t *testing.T) (io.Reader, func()) {
			return content(func() io.ReadCloser { return valueFile(t, "", value+"y") }, partValue), func() {}
		}, nil, true},
		"content shorter than its size": {func(t *testing.T) (io.Reader, func()) {
			return content(func() io.ReadCloser { return valueFile(t, "", value) }, partValue+1), func() {}
		}, io.ErrUnexpectedEOF, true},
		"broken": {func(t *testing.T) (io.Reader, func()) {
			return content(func() io.ReadCloser { return &brokenAt{Reader: bytes.NewReader([]byte(value)), err: broken} }, partValue), func() {}
		}, broken, true},
	} {
		t.Run(name, func(t *testing.T) {
			store, p := newPartStore(t)
			v := newVault(t, store, nil)
			r, change := tc.value(t)
			p.before = later(change)
			_, err := v.Put(t.Context(), "a", r, nil)
			var source *vault.SourceError
			if errors.As(err, &source) != tc.source || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v", err)
			}
			if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
				t.Errorf("stat: %v", err)
			}
		})
	}
	t.Run("panic", func(t *testing.T) {
		store, _ := newPartStore(t)
		v := newVault(t, store, nil)
		defer func() {
			if got := recover(); got != "broken" {
				t.Errorf("recovered %v", got)
			}
		}()
		v.Put(t.Context(), "a", content(func() io.ReadCloser { return &brokenAt{Reader: bytes.NewReader([]byte(value)), panics: true} }, partValue), nil)
		t.Error("Put returned")
	})
	t.Run("cancelled", func(t *testing.T) {
		store, p := newPartStore(t)
		v := newVault(t, store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		p.before = later(cancel)
		if _, err := v.Put(ctx, "a", strings.NewReader(value), nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A brokenAt fails, or panics, in the sixth MiB.
type brokenAt struct {
	*bytes.Reader
	err    error
	panics bool
}

func (b *brokenAt) Close() error { return nil }

func (b *brokenAt) Size() (int64, bool) { return int64(b.Len()), true }

func (b *brokenAt) ReadAt(p []byte, at int64) (int, error) {
	switch {
	case at < 5<<20 || at > 6<<20:
		return b.Reader.ReadAt(p, at)
	case b.panics:
		panic("broken")
	}
	return 0, b.err
}

// A put in parts that was not applied is sealed again from its start, under another header, and the value
// is that of the last attempt.
func TestPartsAgain(t *testing.T) {
	store, p := newPartStore(t)
	var n atomic.Int32
	store.Put = putter(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
		if n.Add(1) == 1 {
			if err := fill(&partBuffer{s: p}); err != nil {
				return "", err
			}
			return "", &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.UploadAborted, Effect: vault.NotApplied}
		}
		return p.Put(ctx, key, fill)
	})
	v := newVault(t, store, nil)
	value := strings.Repeat("z", partValue)
	if _, err := v.Put(t.Context(), "a", strings.NewReader(value), nil); err != nil || p.taken != 2 {
		t.Fatalf("%d objects in parts, %v", p.taken, err)
	}
	if got := get(t, v, "a", nil); got != value {
		t.Errorf("%d bytes differ", len(got))
	}
}

type putter func(context.Context, string, func(io.Writer) error) (string, error)

func (f putter) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	return f(ctx, key, fill)
}
