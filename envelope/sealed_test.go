package envelope_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/envelope"
)

func sealAt(t *testing.T, value io.ReaderAt, length int64) *envelope.Sealed {
	t.Helper()
	s, err := envelope.SealAt(ctx, value, length, testRef, fixed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A byte is sealed only once. So a value that changes between two requests is never sealed twice.
func TestPartTwice(t *testing.T) {
	const segment = 1 << 16
	plain := pattern(5 * segment)
	for _, r := range [][2]int{{0, 100}, {0, 2 * segment}, {segment / 2, segment}, {2 * segment, 3 * segment}, {4*segment + 5, 4*segment + 6}} {
		s := sealAt(t, bytes.NewReader(plain), int64(len(plain)))
		whole := make([]byte, s.Size())
		if err := s.Part(whole, 0); err != nil {
			t.Fatal(err)
		}
		at := s.Header().Len() + 40 + r[0]
		if err := s.Part(make([]byte, r[1]-r[0]), int64(at)); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("bytes %d: %v", r, err)
		}
	}
	// Whole segments, which are sealed in the buffer of the caller.
	for _, index := range []int64{0, 1, 4} {
		s := sealAt(t, bytes.NewReader(plain), int64(len(plain)))
		start := int64(s.Header().Len())
		from, to := start+index*segment, start+(index+1)*segment
		if index == 0 {
			from += 40
		}
		p := make([]byte, to-from)
		if err := s.Part(p, from); err != nil {
			t.Fatal(err)
		}
		if err := s.Part(p, from); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("segment %d again: %v", index, err)
		}
		if err := s.Part(p[:1], from); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("a byte of segment %d again: %v", index, err)
		}
	}
	// The halves of a segment.
	s := sealAt(t, bytes.NewReader(plain), int64(len(plain)))
	at := int64(s.Header().Len() + 2*segment)
	half := make([]byte, segment/2)
	if err := errors.Join(s.Part(half, at), s.Part(half, at+segment/2)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, segment / 4, segment / 2} {
		if err := s.Part(half, at+n); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("a half again, at %d: %v", n, err)
		}
	}
}

type readerAt func(p []byte, at int64) (int, error)

func (f readerAt) ReadAt(p []byte, at int64) (int, error) { return f(p, at) }

func TestSealAtErrors(t *testing.T) {
	plain := pattern(1 << 20)
	broken := errors.New("disk broken")
	for name, tc := range map[string]struct {
		value  io.ReaderAt
		length int64
		want   error
	}{
		"shorter":     {bytes.NewReader(plain), int64(len(plain)) + 1, io.ErrUnexpectedEOF},
		"broken":      {readerAt(func([]byte, int64) (int, error) { return 0, broken }), 100, broken},
		"no progress": {readerAt(func([]byte, int64) (int, error) { return 0, nil }), 100, io.ErrNoProgress},
	} {
		s := sealAt(t, tc.value, tc.length)
		if err := s.Part(make([]byte, s.Size()), 0); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A ReaderAt may return few bytes without an error, and the last ones with io.EOF.
	slow := readerAt(func(p []byte, at int64) (int, error) {
		n := copy(p, plain[at:min(at+1000, int64(len(plain)))])
		if at+int64(n) == int64(len(plain)) {
			return n, io.EOF
		}
		return n, nil
	})
	s := sealAt(t, slow, int64(len(plain)))
	object := make([]byte, s.Size())
	if err := s.Part(object, 0); err != nil {
		t.Fatal(err)
	}
	r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, at := range []int64{-1, s.Size(), s.Size() + 1} {
		if err := s.Part(make([]byte, 1), at); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("offset %d: %v", at, err)
		}
	}
	for name, f := range map[string]func() error{
		"nil value":       func() error { _, err := envelope.SealAt(ctx, nil, 1, testRef, fixed, nil); return err },
		"negative length": func() error { _, err := envelope.SealAt(ctx, slow, -1, testRef, fixed, nil); return err },
		"no key":          func() error { _, err := envelope.SealAt(ctx, slow, 1, testRef, nil, nil); return err },
		"too long":        func() error { _, err := envelope.SealAt(ctx, slow, 1<<49, testRef, fixed, nil); return err },
		"zero Sealed":     func() error { return new(envelope.Sealed).Part(nil, 0) },
	} {
		if err := f(); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If the value fails or panics within a segment, the caller's buffer has no plaintext of it.
func TestPartFailsWithin(t *testing.T) {
	const segment = 1 << 16
	plain := pattern(3 * segment)
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("disk broken") },
		"end":   func() error { return io.EOF },
		"panic": func() error { panic("broken") },
	} {
		s := sealAt(t, readerAt(func(p []byte, at int64) (int, error) {
			if at > segment+1000 {
				return 0, fail()
			}
			return copy(p[:min(len(p), 100)], plain[at:]), nil
		}), int64(len(plain)))
		p := make([]byte, segment) // the second segment as a whole
		err := recovered(func() error { return s.Part(p, int64(s.Header().Len())+segment) })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if !bytes.Equal(p, make([]byte, segment)) {
			t.Errorf("%s: the buffer has plaintext", name)
		}
	}
}

// recovered returns the panic of f as an error.
func recovered(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

// If the value panics while a segment is sealed that lies in two parts, neither part gets its plaintext.
func TestPartPanics(t *testing.T) {
	const segment = 1 << 16
	plain := pattern(3 * segment)
	s := sealAt(t, readerAt(func(p []byte, at int64) (int, error) {
		n := copy(p, plain[at:])
		if at > segment/2 && at < 2*segment {
			panic("broken")
		}
		return n, nil
	}), int64(len(plain)))
	edge := int64(s.Header().Len()) + segment + segment/2
	for _, r := range [][2]int64{{0, edge}, {edge, edge + segment}} {
		p := make([]byte, r[1]-r[0])
		if err := recovered(func() error { return s.Part(p, r[0]) }); err == nil {
			t.Errorf("part %d: no error", r)
		}
		if bytes.Contains(p, plain[segment:segment+64]) || bytes.Contains(p, plain[segment+segment/2:segment+segment/2+64]) {
			t.Errorf("part %d has plaintext", r)
		}
	}
}

// A value in memory or in a file is sealed in parts, four at a time.
func ExampleSealAt() {
	value := bytes.NewReader(make([]byte, 10<<20))
	sealed, err := envelope.SealAt(ctx, value, value.Size(), testRef, fixed, nil)
	if err != nil {
		panic(err)
	}
	const partSize = 1 << 20
	object := make([]byte, sealed.Size())
	var parts errgroup.Group
	parts.SetLimit(4)
	for at := int64(0); at < sealed.Size(); at += partSize {
		parts.Go(func() error { return sealed.Part(object[at:min(at+partSize, sealed.Size())], at) })
	}
	if err := parts.Wait(); err != nil {
		panic(err)
	}
	r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		panic(err)
	}
	n, err := io.Copy(io.Discard, r)
	fmt.Println(n, err)
	// Output: 10485760 <nil>
}
