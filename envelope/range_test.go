package envelope_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/objectvault/objectvault/envelope"
)

const rangeS = 1 << 12

// Ranges match the plaintext of a payload that stock Tink made.
func TestRangesOfATinkStream(t *testing.T) {
	v := find(t, "open-size-2s-71")
	for _, size := range []int{0, 1, rangeS - 57, rangeS - 56, rangeS - 55, 2*rangeS - 72, 2*rangeS - 71, 9000} {
		plain := pattern(size)
		head := v.object(t)[:v.Derived.HeaderLen]
		payload := bytes.NewBuffer(head)
		w, err := stockTink(t, unhex(v.Derived.PayloadKey), 12).NewEncryptingWriter(payload, unhex(v.Derived.Stable))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		checkRanges(t, payload.Bytes(), plain, v.Reader.ref(), v.Reader.sources(t))
	}
}

func TestRangesWithAnEmptyFinalSegment(t *testing.T) {
	v := find(t, "open-empty-final")
	checkRanges(t, v.object(t), v.Inputs.Plaintext.bytes(), v.Reader.ref(), v.Reader.sources(t))
}

func checkRanges(t *testing.T, object, plain []byte, ref envelope.Ref, sources []envelope.KeySource) {
	t.Helper()
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), ref, sources)
	if err != nil {
		t.Fatal(err)
	}
	h, size, total := o.Header(), int64(len(plain)), int64(len(object))
	emptyFinal := (total-int64(h.Len()))%rangeS == 16
	edges := []int64{0, 1, size / 2, size - 1, size, size + 1, rangeS - 57, rangeS - 56, rangeS - 55, 2*rangeS - 73, 2*rangeS - 72, 2*rangeS - 71, math.MaxInt64}
	for _, from := range edges {
		for _, to := range append(edges, -1) {
			if from < 0 || to >= 0 && to < from {
				continue
			}
			n := to - from
			want := plain[min(from, size):]
			if to < 0 {
				n = -1
			} else {
				want = plain[min(from, size):min(to, size)]
			}
			name := fmt.Sprintf("size %d [%d, %d)", size, from, to)
			s, err := o.Range(total, from, n)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s.Offset < int64(h.Len()) || s.Length < 0 || s.Offset+s.Length > total {
				t.Fatalf("%s: span %d+%d", name, s.Offset, s.Length)
			}
			// A range reads only the segments that contain it, and the final one if it reaches
			// the end.
			if most := int64(len(want)) + 2*rangeS; s.Length > most {
				t.Errorf("%s: %d bytes are fetched", name, s.Length)
			}
			if reachesEnd := to < 0 || to >= size; reachesEnd && !s.Final() || s.Final() != (s.Length > 0 && s.Offset+s.Length == total) {
				t.Errorf("%s: Final %v, span %d+%d of %d", name, s.Final(), s.Offset, s.Length, total)
			}
			sealed := object[s.Offset : s.Offset+s.Length]
			got, err := io.ReadAll(o.OpenRange(bytes.NewReader(sealed), s))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
			}
			if err := iotest.TestReader(o.OpenRange(iotest.HalfReader(bytes.NewReader(sealed)), s), want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			into := make([]byte, len(want))
			direct := o.OpenRangeInto(into, bytes.NewReader(sealed), s)
			if n, err := io.ReadFull(direct, into); err != nil || !bytes.Equal(into, want) {
				t.Errorf("%s, into a buffer: %d bytes, %v", name, n, err)
			}
			if n, err := direct.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s, after the buffer: %d bytes, %v", name, n, err)
			}
			if s.Length == 0 {
				continue
			}
			// Until its last segment is verified, part of a range is withheld, unless that
			// segment is an empty final one.
			most := max(0, len(want)-1)
			if emptyFinal && s.Final() {
				most = len(want)
			}
			// A damaged byte, a cut, and an error of the reader.
			bad := slices.Clone(sealed)
			bad[len(bad)-1] ^= 1
			for what, r := range map[string]io.Reader{"damaged": bytes.NewReader(bad), "cut": bytes.NewReader(sealed[:len(sealed)-1])} {
				checkFails(t, name+" "+what, o.OpenRange(r, s), want, most, envelope.ErrDecrypt)
			}
			clear(into)
			if _, err := io.ReadFull(o.OpenRangeInto(into, bytes.NewReader(bad), s), into); !errors.Is(err, envelope.ErrDecrypt) && len(into) > most {
				t.Errorf("%s damaged, into a buffer: %v", name, err)
			}
			for i, b := range into {
				if b != want[i] && b != 0 {
					t.Errorf("%s damaged, into a buffer: byte %d was not verified", name, i)
					break
				}
			}
			checkFails(t, name+" broken", o.OpenRange(failing(sealed[:len(sealed)-1], io.ErrUnexpectedEOF), s), want, most, io.ErrUnexpectedEOF)
			if s.Final() {
				checkFails(t, name+" longer", o.OpenRange(bytes.NewReader(append(slices.Clone(sealed), 0)), s), want, most, envelope.ErrDecrypt)
				checkFails(t, name+" broken after", o.OpenRange(failing(sealed, errBroken), s), want, most, errBroken)
			}
		}
	}
}

// checkFails reads to the error, which must be final, and checks that the bytes before it are a
// part of want.
func checkFails(t *testing.T, name string, r io.Reader, want []byte, most int, cause error) {
	t.Helper()
	got, err := io.ReadAll(r)
	if !errors.Is(err, cause) || !bytes.HasPrefix(want, got) || len(got) > most {
		t.Errorf("%s: %d of %d bytes, %v; want %v", name, len(got), len(want), err, cause)
	}
	if n, again := r.Read(make([]byte, 1)); n != 0 || again != err {
		t.Errorf("%s: then %d, %v", name, n, again)
	}
	if n, again := r.Read(nil); n != 0 || again != err {
		t.Errorf("%s: an empty read gives %d, %v", name, n, again)
	}
}

// After an error the buffer belongs to the caller again: batches that are opened meanwhile do not write to it.
func TestRangeIntoSettles(t *testing.T) {
	plain := pattern(8 << 20)
	object := seal(t, fixed, plain, nil)
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	object[o.Header().Len()+1<<20+1000] ^= 1
	s, err := o.Range(int64(len(object)), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	into := make([]byte, len(plain))
	for range 50 {
		if _, err := io.ReadFull(o.OpenRangeInto(into, bytes.NewReader(object[s.Offset:]), s), into); !errors.Is(err, envelope.ErrDecrypt) {
			t.Fatal(err)
		}
		clear(into)
		for range 100 {
			runtime.Gosched()
		}
		if i := bytes.IndexFunc(into, func(r rune) bool { return r != 0 }); i >= 0 {
			t.Fatalf("byte %d was written after the error", i)
		}
	}
}

// A truncated object appears to have another length: a range that reaches its apparent end is
// rejected, and so is one past it.
func TestRangeProvesTheEnd(t *testing.T) {
	object := seal(t, fixed, pattern(3*rangeS), &envelope.SealOptions{SegmentLog2: 12})
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(o.Header().Len() + 2*rangeS) // two full segments of four
	size, err := o.Header().PlaintextSize(total)
	if err != nil || size != 2*rangeS-72 {
		t.Fatal(size, err)
	}
	for _, tc := range []struct {
		off, n int64
		ok     bool
	}{{0, 10, true}, {0, rangeS - 56, true}, {rangeS, 10, false}, {size - 1, 1, false}, {size, 0, false}, {size, -1, false}, {size + 100, 5, false}, {0, -1, false}} {
		s, err := o.Range(total, tc.off, tc.n)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(o.OpenRange(bytes.NewReader(object[s.Offset:s.Offset+s.Length]), s))
		if tc.ok && err != nil || !tc.ok && !errors.Is(err, envelope.ErrDecrypt) {
			t.Errorf("[%d, +%d) of a cut object: %v", tc.off, tc.n, err)
		}
	}
}

func TestImpossibleLengths(t *testing.T) {
	object := seal(t, fixed, pattern(100), &envelope.SealOptions{SegmentLog2: 12})
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	h := int64(o.Header().Len())
	most := int64(math.MaxUint32) * rangeS
	for _, tc := range []struct {
		payload, size int64 // size -1: impossible
	}{
		{-h, -1}, {-1, -1}, {0, -1}, {39, -1}, {55, -1}, {56, 0}, {57, 1}, {rangeS - 1, rangeS - 57}, {rangeS, rangeS - 56},
		{rangeS + 1, -1}, {rangeS + 15, -1}, {rangeS + 16, rangeS - 56}, {rangeS + 17, rangeS - 55},
		{most, most - 40 - 16*math.MaxUint32}, {most + 16, -1}, {math.MaxInt64 - h, -1}, {math.MinInt64, -1},
	} {
		size, err := o.Header().PlaintextSize(h + tc.payload)
		_, rangeErr := o.Range(h+tc.payload, 0, 1)
		if tc.size < 0 && (err != envelope.ErrDecrypt || rangeErr != envelope.ErrDecrypt) || tc.size >= 0 && (size != tc.size || err != nil || rangeErr != nil) {
			t.Errorf("payload of %d: %d, %v, %v; want %d", tc.payload, size, err, rangeErr, tc.size)
		}
	}
	if _, err := o.Range(int64(len(object)), -1, 1); err == nil || err.Error() != "the offset -1 is negative" {
		t.Errorf("negative offset: %v", err)
	}
}

func TestSpanOfAnotherObject(t *testing.T) {
	object := seal(t, fixed, []byte("sk-1"), nil)
	a, _ := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	b, _ := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	s, err := a.Range(int64(len(object)), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]envelope.Span{"span of another object": s, "zero span": {}} {
		got, err := io.ReadAll(b.OpenRange(bytes.NewReader(object[a.Header().Len()+40:]), s))
		if len(got) > 0 || !errors.Is(err, envelope.ErrInvalid) || err.Error() != "envelope: the span belongs to another object" {
			t.Errorf("%s: %q, %v; want ErrInvalid", name, got, err)
		}
	}
}
