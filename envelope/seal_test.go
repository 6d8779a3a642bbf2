package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
)

// numbered returns n sources with different keys.
func numbered(t testing.TB, n int) []envelope.KeySource {
	var all []envelope.KeySource
	for i := range n {
		all = append(all, localSource(t, byte(i)))
	}
	return all
}

// big returns n private stanzas of the maximum length, 8211 bytes each in a header.
func big(n int, last int) (all []envelope.KeySource) {
	for i := range n {
		size := 8192
		if i == n-1 {
			size = last
		}
		all = append(all, foreign{200, [16]byte{byte(i)}, make([]byte, size)})
	}
	return all
}

func manyLabels(n int) map[string]string {
	m := make(map[string]string)
	for i := range n {
		m[fmt.Sprint(i)] = "v"
	}
	return m
}

func TestSealRefuses(t *testing.T) {
	fail := script{err: errBroken}
	meta := func(m envelope.Metadata) *envelope.SealOptions { return &envelope.SealOptions{Metadata: m} }
	for _, tc := range []struct {
		name    string
		sources []envelope.KeySource
		o       *envelope.SealOptions
		want    string // the error; empty for none
	}{
		{"no source", nil, nil, "cannot seal: 0 stanzas; there must be 1 to 16"},
		{"16 sources", numbered(t, 16), nil, ""},
		{"17 sources", numbered(t, 17), nil, "cannot seal: 17 stanzas; there must be 1 to 16"},
		{"same source twice", []envelope.KeySource{fixed[0], fixed[0]}, nil, "cannot seal: two stanzas of type 1 for key " + fixedID(t)},
		{"source fails", []envelope.KeySource{fixed[0], fail}, nil, "connection reset"},
		{"Keep instead of a source", []envelope.KeySource{envelope.Keep(envelope.Stanza{Type: 1, Body: make([]byte, 60)})}, nil, "cannot seal: the stanza passed to Keep belongs to another object, or the object is moved to another name"},
		{"stanza type 0", []envelope.KeySource{foreign{0, [16]byte{}, []byte{1}}}, nil, "cannot seal: stanza type 0"},
		{"stanza type 4", []envelope.KeySource{foreign{4, [16]byte{}, []byte{1}}}, nil, "cannot seal: stanza type 4 is reserved"},
		{"stanza type 127", []envelope.KeySource{foreign{127, [16]byte{}, []byte{1}}}, nil, "cannot seal: stanza type 127 is reserved"},
		{"empty stanza", []envelope.KeySource{foreign{128, [16]byte{}, nil}}, nil, "cannot seal: stanza type 128 with 0 bytes"},
		{"long stanza", []envelope.KeySource{foreign{128, [16]byte{}, make([]byte, 8193)}}, nil, "cannot seal: stanza type 128 with 8193 bytes"},
		{"stanza longer than its length field", []envelope.KeySource{foreign{128, [16]byte{}, make([]byte, 65536)}}, nil, "cannot seal: the header has 65609 bytes; the maximum is 32768"},
		{"stanza type 1 with 59 bytes", []envelope.KeySource{foreign{1, [16]byte{}, make([]byte, 59)}}, nil, "cannot seal: stanza type 1 with 59 bytes"},
		{"longest header", big(4, 32768-54-3*8211-19), nil, ""},
		{"header too long", big(4, 32768-54-3*8211-19+1), nil, "cannot seal: the header has 32769 bytes; the maximum is 32768"},
		{"revision -1", fixed, &envelope.SealOptions{Revision: -1}, "cannot seal: revision -1"},
		{"revision 2^53-1", fixed, &envelope.SealOptions{Revision: 1<<53 - 1}, ""},
		{"revision 2^53", fixed, &envelope.SealOptions{Revision: 1 << 53}, "cannot seal: revision 9007199254740992"},
		{"segments of 2^11", fixed, &envelope.SealOptions{SegmentLog2: 11}, "cannot seal: segment size 2^11"},
		{"segments of 2^12", fixed, &envelope.SealOptions{SegmentLog2: 12}, ""},
		{"segments of 2^20", fixed, &envelope.SealOptions{SegmentLog2: 20}, ""},
		{"segments of 2^21", fixed, &envelope.SealOptions{SegmentLog2: 21}, "cannot seal: segment size 2^21"},
		{"segments of 2^268", fixed, &envelope.SealOptions{SegmentLog2: 268}, "cannot seal: segment size 2^268"},
		{"content type of 256", fixed, meta(envelope.Metadata{ContentType: strings.Repeat("a", 256)}), "cannot seal: the content type is not UTF-8, or has more than 255 bytes"},
		{"content type not UTF-8", fixed, meta(envelope.Metadata{ContentType: "\xff"}), "cannot seal: the content type is not UTF-8, or has more than 255 bytes"},
		{"label not UTF-8", fixed, meta(envelope.Metadata{Labels: map[string]string{"a": "\xff"}}), `cannot seal: label "a" is not UTF-8`},
		{"64 labels", fixed, meta(envelope.Metadata{Labels: manyLabels(64)}), ""},
		{"65 labels", fixed, meta(envelope.Metadata{Labels: manyLabels(65)}), "cannot seal: 65 labels; the maximum is 64"},
		{"metadata of 4096", fixed, meta(envelope.Metadata{Labels: map[string]string{"a": strings.Repeat("x", 4096-19)}}), ""},
		{"metadata of 4097", fixed, meta(envelope.Metadata{Labels: map[string]string{"a": strings.Repeat("x", 4096-18)}}), "cannot seal: the metadata has 4097 bytes; the maximum is 4096"},
		{"expiry in 9999", fixed, meta(envelope.Metadata{Expires: time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC)}), ""},
		{"expiry in 10000", fixed, meta(envelope.Metadata{Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}), "cannot seal: the expiry is out of range: year 10000"},
		{"expiry that rounds to the zero time", fixed, meta(envelope.Metadata{Expires: time.Time{}.Add(1)}), "cannot seal: the expiry is out of range: year 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			w, err := envelope.Seal(ctx, &b, testRef, tc.sources, tc.o)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if h, err := envelope.ReadHeader(&b); err != nil || !bytes.Equal(h.Bytes(), w.Header().Bytes()) {
					t.Errorf("opening the sealed object: %v", err)
				}
				return
			}
			if err == nil || err.Error() != tc.want || refused(err) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if b.Len() != 0 {
				t.Errorf("%d bytes were written", b.Len())
			}
		})
	}
}

// Errors that need no key are returned before a source is called.
func TestSealChecksFirst(t *testing.T) {
	ask := script{err: errBroken}
	for _, tc := range []struct {
		n int
		o envelope.SealOptions
	}{
		{1, envelope.SealOptions{Revision: -1}}, {1, envelope.SealOptions{SegmentLog2: 30}}, {17, envelope.SealOptions{}},
		{1, envelope.SealOptions{Metadata: envelope.Metadata{Labels: manyLabels(65)}}},
	} {
		if _, err := envelope.Seal(ctx, io.Discard, testRef, slices.Repeat([]envelope.KeySource{ask}, tc.n), &tc.o); err == nil || errors.Is(err, errBroken) {
			t.Errorf("%d sources, %+v: %v", tc.n, tc.o, err)
		}
	}
}

func fixedID(t *testing.T) string {
	s, err := fixed[0].Wrap(ctx, testRef, make([]byte, 32), envelope.AAD{Ctx: testRef.Context()})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", s.ID)
}

func TestMetadataRoundTrip(t *testing.T) {
	for name, m := range map[string]envelope.Metadata{
		"none":   {},
		"type":   {ContentType: "text/plain; charset=\"utf-8\""},
		"labels": {Labels: map[string]string{"a<b>&c": "\u2028\x00\"\\", "": "😀", "EXPIRES": "x", "__proto__": "y"}},
		"all":    {ContentType: "a/b", Expires: time.Date(2030, 12, 31, 23, 59, 59, 0, time.UTC), Labels: manyLabels(64)},
	} {
		sealedAs := m
		if !m.Expires.IsZero() {
			sealedAs.Expires = m.Expires.Add(999 * time.Millisecond).In(time.FixedZone("", 3600)) // truncated to seconds, and in UTC
		}
		sealedAs.Labels = maps.Clone(m.Labels)
		object := seal(t, fixed, []byte("sk-1"), &envelope.SealOptions{Metadata: sealedAs})
		r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, fixed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, got := range []envelope.Metadata{r.Metadata(), o.Metadata()} {
			if diff := cmp.Diff(m, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if name == "none" && len(r.Header().Sealed) != 0 {
			t.Error("empty metadata was sealed as a metadata block")
		}
	}
}

func TestRevisionIsNow(t *testing.T) {
	before := time.Now().UnixMicro()
	h, err := envelope.ReadHeader(bytes.NewReader(seal(t, fixed, nil, nil)))
	if err != nil || h.Revision < before || h.Revision > time.Now().UnixMicro() || h.SegmentLog2 != 16 || h.Rewrap != 0 {
		t.Errorf("header %+v, %v", h, err)
	}
}

func TestEveryWriteIsFresh(t *testing.T) {
	o := &envelope.SealOptions{Revision: 1}
	a, b := seal(t, fixed, []byte("sk-1"), o), seal(t, fixed, []byte("sk-1"), o)
	ha, _ := envelope.ReadHeader(bytes.NewReader(a))
	hb, _ := envelope.ReadHeader(bytes.NewReader(b))
	if ha.Commitment == hb.Commitment || bytes.Equal(a[ha.Len():], b[hb.Len():]) {
		t.Error("two writes share a commitment or a payload")
	}
}

// A source that overwrites its data key does not affect other sources.
type ruinous struct{ envelope.KeySource }

func (r ruinous) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	s, err := r.KeySource.Wrap(ctx, ref, dek, aad)
	clear(dek)
	return s, err
}

func TestSourcesShareNoKey(t *testing.T) {
	sources := []envelope.KeySource{ruinous{localSource(t, 1)}, localSource(t, 2)}
	object := seal(t, sources, []byte("sk-1"), nil)
	for i, s := range sources {
		if got, _, err := readAll(object, testRef, []envelope.KeySource{s}); err != nil || string(got) != "sk-1" {
			t.Errorf("source %d reads %q, %v", i, got, err)
		}
	}
}

func TestAbort(t *testing.T) {
	for _, size := range []int{0, 10, 5000} {
		var b bytes.Buffer
		w, err := envelope.Seal(ctx, &b, testRef, fixed, &envelope.SealOptions{SegmentLog2: 12})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pattern(size)); err != nil {
			t.Fatal(err)
		}
		length := b.Len()
		w.Abort()
		if n, err := w.Write([]byte("x")); n != 0 || err == nil || err.Error() != "envelope: the writer was aborted" {
			t.Errorf("write after abort: %d, %v", n, err)
		}
		for range 2 {
			if err := w.Close(); err == nil {
				t.Error("close after abort succeeds")
			}
		}
		w.Abort()
		if b.Len() != length {
			t.Error("Write or Close wrote bytes after Abort")
		}
		if _, r, err := readAll(b.Bytes(), testRef, fixed); !errors.Is(err, envelope.ErrDecrypt) || r != nil && r.Complete() {
			t.Errorf("opening an aborted object of %d bytes: %v", size, err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	var b bytes.Buffer
	w, err := envelope.Seal(ctx, &b, testRef, fixed, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.Abort() // too late
	if n, err := w.Write([]byte("x")); n != 0 || err == nil || err.Error() != "envelope: write after close" {
		t.Errorf("write after close: %d, %v", n, err)
	}
	if _, _, err := readAll(b.Bytes(), testRef, fixed); err != nil {
		t.Error(err)
	}
}

// A limited writer fails, or writes short, when it is full. Later it works again.
type limited struct {
	b     bytes.Buffer
	limit int
	short bool
	again bool
}

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) <= l.limit || l.again {
		return l.b.Write(p)
	}
	l.again = true
	n, _ := l.b.Write(p[:l.limit-l.b.Len()])
	if l.short {
		return n, nil
	}
	return n, errBroken
}

// A failed write is final, even if the next one would succeed: Tink would continue and leave a
// gap.
func TestWriteErrorsAreSticky(t *testing.T) {
	plain := pattern(9000)
	full := len(seal(t, fixed, plain, &envelope.SealOptions{SegmentLog2: 12}))
	for _, short := range []bool{false, true} {
		want := errBroken
		if short {
			want = io.ErrShortWrite
		}
		for _, limit := range []int{0, 100, 133, 150, 173, 3000, 133 + 4096, 133 + 5000, 133 + 8192, full - 1} {
			l := &limited{limit: limit, short: short}
			w, err := envelope.Seal(ctx, l, testRef, fixed, &envelope.SealOptions{SegmentLog2: 12})
			if err == nil {
				_, err = w.Write(plain)
				if err == nil {
					err = w.Close()
				}
				length := l.b.Len()
				if _, again := w.Write(plain); again == nil {
					t.Errorf("limit %d: a write after an error succeeds", limit)
				}
				if again := w.Close(); !errors.Is(again, want) || l.b.Len() != length {
					t.Errorf("limit %d: close after an error: %v", limit, again)
				}
			}
			if !errors.Is(err, want) {
				t.Errorf("limit %d: %v, want %v", limit, err, want)
			}
			if _, _, err := readAll(l.b.Bytes(), testRef, fixed); !refused(err) {
				t.Errorf("limit %d: opening the written bytes: %v", limit, err)
			}
		}
	}
}
