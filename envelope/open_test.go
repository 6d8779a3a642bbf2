package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
)

var (
	ctx     = context.Background()
	testRef = envelope.Ref{Vault: "v1", Tenant: "acme", Collection: "credentials", Name: "openrouter"}
	fixed   = []envelope.KeySource{kek.InsecureFixed()}
)

// localSource returns the source of a root of 32 equal bytes.
func localSource(t testing.TB, fill byte) envelope.KeySource {
	t.Helper()
	root, err := kek.NewRoot(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return kek.NewLocal(root)
}

func seal(t testing.TB, sources []envelope.KeySource, plain []byte, o *envelope.SealOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(ctx, &b, testRef, sources, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 % 251)
	}
	return b
}

// refused reports whether err is one of the three errors for invalid bytes.
func refused(err error) bool {
	return errors.Is(err, envelope.ErrFormat) || errors.Is(err, envelope.ErrUnknownKey) || errors.Is(err, envelope.ErrDecrypt)
}

func smallObjects(t *testing.T) map[string][]byte {
	m := envelope.Metadata{ContentType: "text/plain", Labels: map[string]string{"env": "prod"}}
	three := []envelope.KeySource{localSource(t, 1), fixed[0], localSource(t, 2)}
	return map[string][]byte{
		"one stanza":    seal(t, fixed, []byte("sk-1"), &envelope.SealOptions{Metadata: m}),
		"three stanzas": seal(t, three, []byte("sk-1"), nil),
	}
}

func TestEveryBitFlipIsRefused(t *testing.T) {
	for name, object := range smallObjects(t) {
		t.Run(name, func(t *testing.T) {
			for i := range 8 * len(object) {
				b := slices.Clone(object)
				b[i/8] ^= 1 << (i % 8)
				plain, _, err := readAll(b, testRef, fixed)
				if len(plain) > 0 || !refused(err) {
					t.Errorf("bit %d flipped: %q, %v", i, plain, err)
				}
				if plain, err := readByRange(b, testRef, fixed); len(plain) > 0 || !refused(err) {
					t.Errorf("bit %d flipped, by range: %q, %v", i, plain, err)
				}
			}
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for name, object := range smallObjects(t) {
		t.Run(name, func(t *testing.T) {
			h, err := envelope.ReadHeader(bytes.NewReader(object))
			if err != nil {
				t.Fatal(err)
			}
			for n := range object {
				want := envelope.ErrFormat
				if n >= h.Len() {
					want = envelope.ErrDecrypt
				}
				plain, _, err := readAll(object[:n], testRef, fixed)
				if len(plain) > 0 || !errors.Is(err, want) {
					t.Errorf("cut at %d: %q, %v, want %v", n, plain, err, want)
				}
				if plain, err := readByRange(object[:n], testRef, fixed); len(plain) > 0 || !errors.Is(err, want) {
					t.Errorf("cut at %d, by range: %q, %v, want %v", n, plain, err, want)
				}
			}
		})
	}
}

// Every way to keep, drop, repeat and reorder four segments fails, except the original order.
func TestSegmentsOutOfOrderAreRefused(t *testing.T) {
	const s = 1 << 12
	plain := pattern(3*s + 100)
	object := seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: 12})
	h, _ := envelope.ReadHeader(bytes.NewReader(object))
	head, rest := object[:h.Len()+40], object[h.Len()+40:]
	segments := [][]byte{rest[:s-40], rest[s-40 : 2*s-40], rest[2*s-40 : 3*s-40], rest[3*s-40:]}
	right := []int{0, 1, 2, 3}
	var try func(order []int)
	try = func(order []int) {
		if len(order) > 0 && !slices.Equal(order, right) {
			b := slices.Clone(head)
			for _, i := range order {
				b = append(b, segments[i]...)
			}
			got, r, err := readAll(b, testRef, fixed)
			if !errors.Is(err, envelope.ErrDecrypt) || !bytes.HasPrefix(plain, got) || r.Complete() {
				t.Errorf("segments %v: %d bytes, %v", order, len(got), err)
			}
			if got, err := readByRange(b, testRef, fixed); !errors.Is(err, envelope.ErrDecrypt) || !bytes.HasPrefix(plain, got) {
				t.Errorf("segments %v, by range: %d bytes, %v", order, len(got), err)
			}
		}
		if len(order) < 5 {
			for i := range segments {
				try(append(slices.Clone(order), i))
			}
		}
	}
	try(nil)
}

// The commitment rejects the second key: without it each of two readers would get another
// plaintext that the writer chose.
func TestTwoKeyAttack(t *testing.T) {
	v := find(t, "refused-two-keys-second")
	object := v.object(t)
	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	payload, stable := object[h.Len():], unhex(v.Derived.Stable)
	for key, want := range map[string][]byte{v.Derived.PayloadKey: v.Inputs.Plaintext.bytes(), v.Second.PayloadKey: unhex(v.Second.Plaintext)} {
		r, err := stockTink(t, unhex(key), 12).NewDecryptingReader(bytes.NewReader(payload), stable)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("stock Tink reads %x, %v; want %x, so the attack does not work", got, err, want)
		}
	}
	first := unhex(v.Derived.SegmentKey)
	again := bothKeys(first, unhex(v.Second.SegmentKey), unhex(v.Derived.FirstNonce), payload[40:56])
	if !bytes.Equal(again, payload[40:]) {
		t.Errorf("solved for %x, the vector has %x", again, payload[40:])
	}

	stanzas := v.Inputs.Stanzas
	if got, _, err := readAll(object, v.Reader.ref(), sourcesOf(t, stanzas[0].Root)); err != nil || !bytes.Equal(got, v.Inputs.Plaintext.bytes()) {
		t.Errorf("the first key reads %x, %v", got, err)
	}
	// The second stanza verifies; only the commitment detects it.
	if got, _, err := readAll(object, v.Reader.ref(), sourcesOf(t, stanzas[1].Root)); !errors.Is(err, envelope.ErrDecrypt) || len(got) > 0 {
		t.Errorf("the second key reads %x, %v", got, err)
	}
}

// A script is a key source for one stanza type with given errors; it counts its calls.
type script struct {
	typ   byte
	dek   []byte
	err   error
	asked *[]byte
}

func (script) Name() string { return "script" }

func (s script) Wrap(_ context.Context, _ envelope.Ref, dek []byte, _ envelope.AAD) (envelope.Stanza, error) {
	if s.err != nil {
		return envelope.Stanza{}, s.err
	}
	return envelope.Stanza{Type: s.typ, ID: [16]byte{s.typ}, Body: []byte{1}}, nil
}

func (s script) Unwrap(_ context.Context, _ envelope.Ref, st envelope.Stanza, _ envelope.AAD) ([]byte, error) {
	if st.Type != s.typ {
		return nil, envelope.ErrUnknownKey
	}
	*s.asked = append(*s.asked, s.typ)
	return s.dek, s.err
}

func TestStanzasAreTriedInOrder(t *testing.T) {
	away, login, odd := fmt.Errorf("kms: %w", envelope.ErrUnavailable), fmt.Errorf("kms: %w", envelope.ErrUnauthenticated), errors.New("broken")
	var asked []byte
	s := func(typ byte, dek []byte, err error) envelope.KeySource { return script{typ, dek, err, &asked} }
	object := seal(t, []envelope.KeySource{s(200, nil, nil), s(201, nil, nil), s(202, nil, nil), fixed[0]}, []byte("sk-1"), nil)
	for _, tc := range []struct {
		name    string
		sources []envelope.KeySource
		asked   string
		errs    []error // nil: the object opens
	}{
		{"header order, not source order", []envelope.KeySource{fixed[0], s(202, nil, away), s(201, nil, away), s(200, nil, away)}, "\xc8\xc9\xca", nil},
		{"unavailable, next source opens", []envelope.KeySource{s(200, nil, away), fixed[0]}, "\xc8", nil},
		{"unauthenticated, next source opens", []envelope.KeySource{s(200, nil, login), fixed[0]}, "\xc8", nil},
		{"unavailable, no other source", []envelope.KeySource{s(201, nil, away), localSource(t, 9)}, "\xc9", []error{envelope.ErrUnavailable}},
		{"unavailable and unauthenticated", []envelope.KeySource{s(201, nil, away), s(202, nil, login)}, "\xc9\xca", []error{envelope.ErrUnavailable, envelope.ErrUnauthenticated}},
		{"stanza does not verify", []envelope.KeySource{s(200, nil, envelope.ErrDecrypt), fixed[0]}, "\xc8", []error{envelope.ErrDecrypt}},
		{"unknown error", []envelope.KeySource{s(200, nil, odd), fixed[0]}, "\xc8", []error{odd}},
		{"data key of 31 bytes", []envelope.KeySource{s(200, make([]byte, 31), nil), fixed[0]}, "\xc8", []error{envelope.ErrDecrypt}},
		{"data key of 64 bytes", []envelope.KeySource{s(200, make([]byte, 64), nil), fixed[0]}, "\xc8", []error{envelope.ErrDecrypt}},
		{"no data key", []envelope.KeySource{s(200, nil, nil), fixed[0]}, "\xc8", []error{envelope.ErrDecrypt}},
		{"wrong data key", []envelope.KeySource{s(200, make([]byte, 32), nil), fixed[0]}, "\xc8", []error{envelope.ErrDecrypt}},
		{"source of another key", []envelope.KeySource{localSource(t, 9)}, "", []error{envelope.ErrUnknownKey}},
		{"no source", nil, "", []error{envelope.ErrUnknownKey}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked = nil
			plain, _, err := readAll(object, testRef, tc.sources)
			for _, want := range tc.errs {
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			}
			if tc.errs == nil && (err != nil || string(plain) != "sk-1") || tc.errs != nil && len(plain) > 0 {
				t.Errorf("%q, %v", plain, err)
			}
			if string(asked) != tc.asked {
				t.Errorf("tried the stanzas %x, want %x", asked, tc.asked)
			}
		})
	}
	_, _, err := readAll(object, testRef, nil)
	if want := "sealed for another name, vault or key: it was sealed for 200:c8000000000000000000000000000000, 201:c9"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %q…", err, want)
	}
}

// A data key of another length is rejected even if the commitment matches it.
func TestDataKeyHas32Bytes(t *testing.T) {
	v := find(t, "open-first")
	for n, want := range map[int]error{31: envelope.ErrDecrypt, 32: nil, 33: envelope.ErrDecrypt, 64: envelope.ErrDecrypt} {
		in := v.Inputs
		in.Random = slices.Clone(in.Random)
		in.Random[0].Bytes = strings.Repeat("20", n)
		in.Random = slices.Delete(in.Random, 1, 2)
		in.Stanzas = []stanza{{Type: 200, KEKID: "c8000000000000000000000000000000", Body: &value{Hex: "01"}}}
		object, _ := forge(in)
		var asked []byte
		got, _, err := readAll(object, v.Reader.ref(), []envelope.KeySource{script{200, bytes.Repeat([]byte{0x20}, n), nil, &asked}})
		if !errors.Is(err, want) || err == nil && !bytes.Equal(got, in.Plaintext.bytes()) || len(asked) != 1 {
			t.Errorf("a data key of %d bytes: %q, %v", n, got, err)
		}
	}
}

var errBroken = errors.New("connection reset")

// failing returns b and then err.
func failing(b []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(b), iotest.ErrReader(err))
}

// An error of the reader is returned unchanged, wherever it occurs. That includes
// io.ErrUnexpectedEOF, which net/http returns for a truncated body and Tink accepts as a regular end.
func TestReaderErrors(t *testing.T) {
	plain := pattern(9000)
	object := seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: 12})
	h, _ := envelope.ReadHeader(bytes.NewReader(object))
	for _, cause := range []error{errBroken, io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 3, 4, 5, 6, 19, 20, 50, h.Len() - 1, h.Len(), h.Len() + 1, h.Len() + 39, h.Len() + 40, h.Len() + 41,
			h.Len() + 4095, h.Len() + 4096, h.Len() + 4097, h.Len() + 8192, len(object) - 1, len(object)} {
			for name, r := range map[string]io.Reader{
				"alone": failing(object[:n], cause), "with data": iotest.DataErrReader(failing(object[:n], cause)), "bytewise": iotest.OneByteReader(failing(object[:n], cause)),
			} {
				var got []byte
				e, err := envelope.Open(ctx, r, testRef, fixed)
				if err == nil {
					got, err = io.ReadAll(e)
					if _, again := e.Read(make([]byte, 1)); again != err || e.Complete() {
						t.Errorf("%v at %d, %s: then %v, complete %v", cause, n, name, again, e.Complete())
					}
				}
				if !errors.Is(err, cause) || refused(err) {
					t.Errorf("%v at %d, %s: %v", cause, n, name, err)
				}
				if !bytes.HasPrefix(plain, got) {
					t.Errorf("%v at %d, %s: the bytes before the error are wrong", cause, n, name)
				}
			}
			if n < h.Len()+40 {
				if _, err := envelope.OpenHeader(ctx, failing(object[:n], cause), testRef, fixed); !errors.Is(err, cause) || refused(err) {
					t.Errorf("OpenHeader, %v at %d: %v", cause, n, err)
				}
			}
			if n < h.Len() {
				if _, err := envelope.ReadHeader(failing(object[:n], cause)); !errors.Is(err, cause) || refused(err) {
					t.Errorf("ReadHeader, %v at %d: %v", cause, n, err)
				}
			}
		}
	}
	_, err := envelope.Open(ctx, failing(nil, errBroken), testRef, fixed)
	if want := "reading the sealed bytes: connection reset"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestReadersMayBeSlow(t *testing.T) {
	plain := pattern(9000)
	object := seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: 12})
	for name, r := range map[string]io.Reader{
		"bytewise": iotest.OneByteReader(bytes.NewReader(object)), "half": iotest.HalfReader(bytes.NewReader(object)), "end with data": iotest.DataErrReader(bytes.NewReader(object)),
	} {
		e, err := envelope.Open(ctx, r, testRef, fixed)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(e, plain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tink's reader forgets an error, and returns EOF after a final segment that failed.
func TestErrorsAreSticky(t *testing.T) {
	plain := pattern(9000)
	object := seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: 12})
	for _, at := range []int{len(object) - 1, len(object) - 4000, 300} {
		b := slices.Clone(object)
		b[at] ^= 1
		r, err := envelope.Open(ctx, bytes.NewReader(b), testRef, fixed)
		if err != nil {
			t.Fatal(err)
		}
		_, first := io.ReadAll(r)
		if first != envelope.ErrDecrypt { // without a position
			t.Fatalf("byte %d changed: %v", at, first)
		}
		for range 3 {
			if n, err := r.Read(make([]byte, 10)); n != 0 || err != first {
				t.Errorf("byte %d changed: then %d, %v", at, n, err)
			}
			if n, err := r.Read(nil); n != 0 || err != first {
				t.Errorf("byte %d changed: an empty read gives %d, %v", at, n, err)
			}
		}
		if r.Complete() {
			t.Errorf("byte %d changed: complete", at)
		}
	}
}

func TestComplete(t *testing.T) {
	const s = 1 << 12
	for _, size := range []int{0, 1, s - 57, s - 56, s - 55, 2*s - 72, 2*s - 71, 9000} {
		object := seal(t, fixed, pattern(size), &envelope.SealOptions{SegmentLog2: 12})
		r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete() {
			t.Errorf("size %d: complete before a byte was read", size)
		}
		if size > 0 {
			if _, err := io.CopyN(io.Discard, r, int64(size-1)); err != nil {
				t.Fatal(err)
			}
			if r.Complete() {
				t.Errorf("size %d: complete one byte before the end", size)
			}
			if _, err := io.CopyN(io.Discard, r, 1); err != nil || !r.Complete() {
				t.Errorf("size %d: %v, complete %v after the last byte", size, err, r.Complete())
			}
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF || !r.Complete() {
			t.Errorf("size %d: %d, %v, complete %v at the end", size, n, err, r.Complete())
		}
	}
	// All data and an invalid empty final segment: the end was not verified.
	v := find(t, "open-empty-final")
	object := v.object(t)
	object[len(object)-1] ^= 1
	r, err := envelope.Open(ctx, bytes.NewReader(object), v.Reader.ref(), v.Reader.sources(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); len(got) != 4040 || !errors.Is(err, envelope.ErrDecrypt) || r.Complete() {
		t.Errorf("%d bytes, %v, complete %v", len(got), err, r.Complete())
	}
}

func TestSwappedParts(t *testing.T) {
	object := seal(t, fixed, []byte("sk-1"), nil)
	for _, change := range []func(*envelope.Ref){
		func(r *envelope.Ref) { r.Vault = "v2" }, func(r *envelope.Ref) { r.Tenant = "acmE" },
		func(r *envelope.Ref) { r.Collection = "tokens" }, func(r *envelope.Ref) { r.Name = "openai" },
		func(r *envelope.Ref) { r.Vault, r.Tenant = r.Tenant, r.Vault },
	} {
		ref := testRef
		change(&ref)
		if got, _, err := readAll(object, ref, fixed); !errors.Is(err, envelope.ErrUnknownKey) || len(got) > 0 {
			t.Errorf("as %+v: %q, %v", ref, got, err)
		}
	}
}

// No part of an object fits into another object of the same name.
func TestPartsOfTwoObjects(t *testing.T) {
	o := &envelope.SealOptions{Revision: 7}
	a, b := seal(t, fixed, []byte("sk-1"), o), seal(t, fixed, []byte("sk-2"), o)
	h, _ := envelope.ReadHeader(bytes.NewReader(a))
	for name, mixed := range map[string][]byte{
		"payload":    slices.Concat(a[:h.Len()], b[h.Len():]),
		"stanza":     slices.Concat(a[:20], b[20:99], a[99:]),
		"commitment": slices.Concat(a[:h.Len()-32], b[h.Len()-32:]),
		"tail":       slices.Concat(a[:h.Len()+40], b[h.Len()+40:]),
	} {
		if got, _, err := readAll(mixed, testRef, fixed); err != envelope.ErrDecrypt || len(got) > 0 {
			t.Errorf("%s of another object: %q, %v", name, got, err)
		}
	}
}

// A malicious header does not cost more memory than the bytes that were read.
func TestLengthsAreBoundedBeforeAllocation(t *testing.T) {
	for name, b := range map[string]string{
		"header length 65535":              "OVE1\x01\x00\x10\x01\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00",
		"sixteen stanzas of 8 KiB":         "OVE1\x01\x00\x10\x10\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("\x80123456789abcdef0\x20\x00", 30),
		"metadata length 65535, 100 bytes": "OVE1\x01\x00\x10\x01\x00\x64\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x80123456789abcdef0\x00\x01x\xff\xff" + strings.Repeat("y", 100),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, err := envelope.Open(ctx, strings.NewReader(b), testRef, fixed); !errors.Is(err, envelope.ErrFormat) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 4096 {
			t.Errorf("%s: %d bytes allocated", name, each)
		}
	}
}

// No function reads more bytes than it needs.
func TestReadsNoFurther(t *testing.T) {
	object := seal(t, fixed, pattern(100), nil)
	h, _ := envelope.ReadHeader(bytes.NewReader(object))
	r := bytes.NewReader(object)
	if _, err := envelope.ReadHeader(r); err != nil || len(object)-r.Len() != h.Len() {
		t.Errorf("ReadHeader read %d bytes, %v; the header has %d", len(object)-r.Len(), err, h.Len())
	}
	r = bytes.NewReader(object)
	if _, err := envelope.OpenHeader(ctx, r, testRef, fixed); err != nil || len(object)-r.Len() != h.Len()+40 {
		t.Errorf("OpenHeader read %d bytes, %v; want %d", len(object)-r.Len(), err, h.Len()+40)
	}
	for head, want := range map[string]int{"OVE2": 4, "OVE1\x02": 5, "OVE1\x01\x01": 6} {
		r := strings.NewReader(head + string(object))
		if _, err := envelope.ReadHeader(r); !errors.Is(err, envelope.ErrFormat) || len(head)+len(object)-r.Len() != want {
			t.Errorf("%q: read %d bytes, %v; want %d", head, len(head)+len(object)-r.Len(), err, want)
		}
	}
}

func TestHeaderLen(t *testing.T) {
	object := seal(t, fixed, nil, nil)
	h, _ := envelope.ReadHeader(bytes.NewReader(object))
	for n := range object {
		want := h.Len()
		if n < 20 {
			want = 0
		}
		if got := envelope.HeaderLen(object[:n]); got != want {
			t.Errorf("HeaderLen of %d bytes = %d, want %d", n, got, want)
		}
	}
	for _, v := range vectors(t) {
		object := v.object(t)
		h, err := envelope.ReadHeader(bytes.NewReader(object))
		if err == nil && envelope.HeaderLen(object) != h.Len() || err != nil && envelope.HeaderLen(object) > envelope.MaxHeaderLen {
			t.Errorf("%s: HeaderLen %d", v.ID, envelope.HeaderLen(object))
		}
	}
}

// A random object opens to the sealed plaintext, for any sequence of read sizes.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		log2 := 12 + r.IntN(3)
		plain := pattern(r.IntN(4 << log2))
		var b bytes.Buffer
		w, err := envelope.Seal(ctx, &b, testRef, fixed, &envelope.SealOptions{SegmentLog2: log2})
		if err != nil {
			t.Fatal(err)
		}
		for rest := plain; len(rest) > 0; {
			n := min(len(rest), r.IntN(2<<log2))
			if m, err := w.Write(rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, _, err := readAll(b.Bytes(), testRef, fixed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("round %d: %d of %d bytes, %v", i, len(got), len(plain), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Sealing and opening 64 MiB allocates as many buffers as may be in use, not the object.
func TestMemoryIsConstant(t *testing.T) {
	const size = 64 << 20
	pr, pw := io.Pipe()
	go func() {
		w, err := envelope.Seal(ctx, pw, testRef, fixed, nil)
		if err == nil {
			if _, err = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, size), make([]byte, 32<<10)); err == nil {
				err = w.Close()
			}
		}
		pw.CloseWithError(err)
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := envelope.Open(ctx, pr, testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if n != size || err != nil {
		t.Fatal(n, err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(2*(runtime.GOMAXPROCS(0)+2)+2)<<20 {
		t.Errorf("%d bytes were allocated for %d", got, size)
	}
}
