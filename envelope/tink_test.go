package envelope_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/envelope"
)

// A witness is a key source that remembers the data key.
type witness struct {
	envelope.KeySource
	dek []byte
}

func (w *witness) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	w.dek = slices.Clone(dek)
	return w.KeySource.Wrap(ctx, ref, dek, aad)
}

// payloadKey returns the key of the Tink stream of the object that was sealed last.
func (w *witness) payloadKey(t testing.TB) []byte {
	key, err := hkdf.Key(sha256.New, w.dek, nil, "ove1 payload", 32)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// stable returns the part of a header that Tink's stream is bound to.
func stable(object []byte) []byte {
	return slices.Concat(object[:7], object[10:18])
}

// sealings are the ways to seal a value.
var sealings = map[string]func(*witness, []byte, *envelope.SealOptions) ([]byte, error){
	"Write":            toWriter(writings["Write"]),
	"pieces":           toWriter(writings["pieces"]),
	"ReadFrom":         toWriter(writings["ReadFrom"]),
	"ReadFrom, halves": toWriter(writings["ReadFrom, halves"]),
	"Part":             sealParts,
}

// sealParts requests random parts of the envelope, four at a time.
func sealParts(keys *witness, plain []byte, o *envelope.SealOptions) ([]byte, error) {
	s, err := envelope.SealAt(ctx, bytes.NewReader(plain), int64(len(plain)), testRef, []envelope.KeySource{keys}, o)
	if err != nil {
		return nil, err
	}
	object := make([]byte, s.Size())
	var parts errgroup.Group
	parts.SetLimit(4)
	longest := max(1, len(object)/(1+rand.IntN(20)))
	for rest := object; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(longest))
		part, at := rest[:n], int64(len(object)-len(rest))
		rest = rest[n:]
		parts.Go(func() error { return s.Part(part, at) })
	}
	return object, parts.Wait()
}

func toWriter(write func(*envelope.Writer, []byte) error) func(*witness, []byte, *envelope.SealOptions) ([]byte, error) {
	return func(keys *witness, plain []byte, o *envelope.SealOptions) ([]byte, error) {
		var b bytes.Buffer
		w, err := envelope.Seal(ctx, &b, testRef, []envelope.KeySource{keys}, o)
		if err == nil {
			err = errors.Join(write(w, plain), w.Close())
		}
		return b.Bytes(), err
	}
}

// writings are the ways to pass a value to a Writer.
var writings = map[string]func(*envelope.Writer, []byte) error{
	"Write": func(w *envelope.Writer, b []byte) error { _, err := w.Write(b); return err },
	"pieces": func(w *envelope.Writer, b []byte) error {
		for len(b) > 0 {
			n := min(len(b), 1+rand.IntN(100_000))
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	},
	"ReadFrom": func(w *envelope.Writer, b []byte) error {
		_, err := w.ReadFrom(iotest.DataErrReader(bytes.NewReader(b)))
		return err
	},
	"ReadFrom, halves": func(w *envelope.Writer, b []byte) error {
		if _, err := w.ReadFrom(iotest.HalfReader(bytes.NewReader(b[:len(b)/2]))); err != nil {
			return err
		}
		_, err := io.Copy(w, bytes.NewReader(b[len(b)/2:]))
		return err
	},
}

// openings are the ways to get a value from a Reader.
var openings = map[string]func(io.Reader) ([]byte, error){
	"Read":    func(r io.Reader) ([]byte, error) { return io.ReadAll(r) },
	"WriteTo": func(r io.Reader) ([]byte, error) { var b bytes.Buffer; _, err := io.Copy(&b, r); return b.Bytes(), err },
	"both": func(r io.Reader) ([]byte, error) {
		var b bytes.Buffer
		if _, err := io.CopyN(&b, r, 100_000); err != nil && err != io.EOF {
			return b.Bytes(), err
		}
		_, err := io.Copy(&b, r)
		return b.Bytes(), err
	},
}

// agree seals plain in every way and opens it in one, and compares with stock Tink in both directions.
func agree(t *testing.T, plain []byte, log2 int) {
	t.Helper()
	keys := &witness{KeySource: fixed[0]}
	for name, seal := range sealings {
		object, err := seal(keys, plain, &envelope.SealOptions{SegmentLog2: log2})
		if err != nil {
			t.Fatal(err)
		}
		h, err := envelope.ReadHeader(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		header := h.Len()
		tink := stockTink(t, keys.payloadKey(t), log2)
		r, err := tink.NewDecryptingReader(bytes.NewReader(object[header:]), stable(object))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s, %d bytes, segments of 2^%d: stock Tink reads %d bytes, %v", name, len(plain), log2, len(got), err)
		}
		// The same header, with the payload of stock Tink.
		theirs := bytes.NewBuffer(slices.Clone(object[:header]))
		tw, err := tink.NewEncryptingWriter(theirs, stable(object))
		if err == nil {
			_, err = tw.Write(plain)
		}
		if err = errors.Join(err, tw.Close()); err != nil {
			t.Fatal(err)
		}
		how := slices.Sorted(maps.Keys(openings))[rand.IntN(len(openings))]
		for _, object := range [][]byte{object, theirs.Bytes()} {
			r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := openings[how](r); err != nil || !bytes.Equal(got, plain) || !r.Complete() {
				t.Errorf("%s, %d bytes, segments of 2^%d: %d bytes, %v, complete %v", how, len(plain), log2, len(got), err, r.Complete())
			}
		}
	}
}

// Values around the boundaries of segments and batches.
func TestTinkAgrees(t *testing.T) {
	for _, log2 := range []int{12, 14, 16, 20} {
		size := 1 << log2
		var lengths []int
		for _, segments := range []int{1, 2, 3, 4, 5, 16, 20, 21, 40} {
			if n := segments * (size - 16); n < 8<<20 {
				for d := -57; d <= -38; d += 1 {
					lengths = append(lengths, n+d)
				}
			}
		}
		if log2 > 12 { // a batch of a large value
			lengths = []int{size - 56, size - 57, size - 55, 2*(size-16) - 40, 2*(size-16) - 39, 4*(size-16) - 40, 4*(size-16) - 39, 20*(size-16) - 40, 20*(size-16) - 39}
			lengths = slices.DeleteFunc(lengths, func(n int) bool { return n > 8<<20 })
		}
		for _, n := range append(lengths, 0, 1, size-1, size, size+1) {
			agree(t, pattern(n), log2)
		}
	}
}

func TestTinkAgreesAtRandom(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	value := pattern(4 << 20)
	for range 1000 {
		agree(t, value[:rand.IntN(1<<(1+rand.IntN(22)))], 12+rand.IntN(6))
	}
}

// A value of 5 GiB, which no machine has to hold.
func TestTinkOpensLargeValue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const size = 5 << 30
	keys := &witness{KeySource: fixed[0]}
	pr, pw := io.Pipe()
	go func() {
		w, err := envelope.Seal(ctx, pw, testRef, []envelope.KeySource{keys}, nil)
		if err == nil {
			_, err = w.ReadFrom(io.LimitReader(zeros{}, size))
			err = errors.Join(err, w.Close())
		}
		pw.CloseWithError(err)
	}()
	var start bytes.Buffer
	h, err := envelope.ReadHeader(io.TeeReader(pr, &start))
	if err != nil {
		t.Fatal(err)
	}
	r, err := stockTink(t, keys.payloadKey(t), h.SegmentLog2).NewDecryptingReader(pr, stable(start.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 64<<10)); n != size || err != nil {
		t.Errorf("stock Tink reads %d bytes, %v", n, err)
	}
}

// Every truncation at and around a segment boundary, swap and repetition of two segments of a value
// with several batches is refused, and what was returned before is the start of the value.
func TestBatchesRefuse(t *testing.T) {
	const log2, size = 16, 1 << 16
	plain := pattern(40*size + 100)
	object := seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: log2})
	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, sealed []byte) {
		t.Helper()
		for how, open := range openings {
			r, err := envelope.Open(ctx, bytes.NewReader(sealed), testRef, fixed)
			if err != nil {
				t.Fatal(err)
			}
			got, err := open(r)
			if !errors.Is(err, envelope.ErrDecrypt) || !bytes.HasPrefix(plain, got) || r.Complete() {
				t.Errorf("%s, %s: %d bytes, %v, complete %v", what, how, len(got), err, r.Complete())
			}
		}
	}
	at := func(i int) int { return h.Len() + i*size }
	for _, i := range []int{1, 3, 4, 5, 19, 20, 21, 39, 40} {
		for _, d := range []int{-1, 0, 1, 15, 16, 17} {
			check("cut", object[:at(i)+d])
		}
		j := 1 + (i+7)%39
		swapped := slices.Clone(object)
		if i < 40 {
			copy(swapped[at(i):at(i+1)], object[at(j):at(j+1)])
			check("copied", swapped)
			copy(swapped[at(j):at(j+1)], object[at(i):at(i+1)])
			check("swapped", swapped)
		}
		check("repeated", slices.Concat(object[:at(i)], object[at(i-1):]))
		check("dropped", slices.Concat(object[:at(i)], object[min(at(i+1), len(object)):]))
		check("extended", append(slices.Clone(object), object[at(i):]...))
	}
}

// What was verified before a failure of the source is returned, then the error.
func TestSourceFailsLate(t *testing.T) {
	plain := pattern(3 << 20)
	object := seal(t, fixed, plain, nil)
	broken := errors.New("connection cut")
	for _, n := range []int{200_000, 300_000, 1 << 20, 2_000_000} {
		r, err := envelope.Open(ctx, io.MultiReader(bytes.NewReader(object[:n]), iotest.ErrReader(broken)), testRef, fixed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if !errors.Is(err, broken) || !bytes.HasPrefix(plain, got) || len(got) < n-2*(1<<16) {
			t.Errorf("cut at %d: %d bytes, %v", n, len(got), err)
		}
	}
}

// A Writer that is abandoned, aborted or whose writer fails leaves no goroutine, and neither does a
// Reader that is not read to its end.
func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	plain := pattern(8 << 20)
	broken := errors.New("disk full")
	object := seal(t, fixed, plain, nil)
	for range 20 {
		w, err := envelope.Seal(ctx, io.Discard, testRef, fixed, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(plain)
		w.Abort()
		if _, err := w.Write(plain); err == nil {
			t.Error("a write after Abort succeeds")
		}
		w, err = envelope.Seal(ctx, &fullAfter{n: 3 << 20, err: broken}, testRef, fixed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); !errors.Is(err, broken) {
			t.Errorf("Write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, broken) {
			t.Errorf("Close: %v", err)
		}
		r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 700_000)); err != nil {
			t.Error(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}

// A fullAfter accepts n bytes.
type fullAfter struct {
	n   int
	err error
}

func (f *fullAfter) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// A small value needs small buffers.
func TestSmallValueAllocatesLittle(t *testing.T) {
	object := seal(t, fixed, pattern(64), nil)
	for name, f := range map[string]func(){
		"seal": func() { seal(t, fixed, pattern(64), nil) },
		"open": func() {
			r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				t.Error(err)
			}
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			f()
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / 100; got > 16<<10 {
			t.Errorf("%s of 64 bytes allocates %d bytes", name, got)
		}
	}
}

// A file is an io.WriterAt in memory.
type file struct{ b []byte }

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	return copy(f.b[at:], p), nil
}

// The spans of a value, opened in any order, are the value.
func TestOpenTo(t *testing.T) {
	plain := pattern(5 << 20)
	object := seal(t, fixed, plain, nil)
	r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	o := r.Object()
	const part = 700_000
	var got file
	for _, i := range rand.Perm((len(plain) + part - 1) / part) {
		s, err := o.Range(int64(len(object)), int64(i)*part, part)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.OpenTo(&got, bytes.NewReader(object[s.Offset:s.Offset+s.Length]), s); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got.b, plain) {
		t.Errorf("%d bytes, which are not the value", len(got.b))
	}
	for _, size := range []int64{70_000, 131_072, 200_000, 1 << 20, 5 << 20, 1 << 30} {
		got, n := file{}, int64(0)
		for s, err := range o.Spans(int64(len(object)), size) {
			if n++; err != nil || s.Offset+s.Length > n*size {
				t.Fatalf("span %d of at most %d bytes: %d bytes at %d, %v", n, size, s.Length, s.Offset, err)
			}
			if err := o.OpenTo(&got, bytes.NewReader(object[s.Offset:s.Offset+s.Length]), s); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got.b, plain) {
			t.Errorf("spans of %d bytes: %d bytes, which are not the value", size, len(got.b))
		}
	}
	for _, err := range o.Spans(int64(len(object)), 1000) {
		if !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("spans shorter than a segment: %v", err)
		}
	}
	s, err := o.Range(int64(len(object)), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for name, sealed := range map[string][]byte{
		"cut": object[s.Offset : len(object)-1], "longer": append(slices.Clone(object[s.Offset:]), 0), "changed": changed(object[s.Offset:], 3<<20),
	} {
		var got file
		if err := o.OpenTo(&got, bytes.NewReader(sealed), s); !errors.Is(err, envelope.ErrDecrypt) || !bytes.HasPrefix(plain, got.b) || len(got.b) == len(plain) {
			t.Errorf("%s: %d bytes, %v", name, len(got.b), err)
		}
	}
}

func changed(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

// Opening a span needs a few buffers, not as many as the span has batches.
func TestOpenToUsesFewBuffers(t *testing.T) {
	plain := pattern(20 << 20)
	object := seal(t, fixed, plain, nil)
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	s, err := o.Range(int64(len(object)), 1<<20, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := o.OpenTo(discardAt{}, bytes.NewReader(object[s.Offset:s.Offset+s.Length]), s); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d bytes were allocated for %d", got, s.Length)
	}
}

type discardAt struct{}

func (discardAt) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
