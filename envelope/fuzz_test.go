package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/envelope"
)

// seeds adds the objects of the vectors, shortened for the fuzzer.
func seeds(f *testing.F) []vector {
	f.Helper()
	all := vectors(f)
	added := 0
	for _, v := range all {
		if b := v.object(f); len(b) <= 5<<10 {
			f.Add(b)
			added++
		}
	}
	if added == 0 {
		f.Fatal("no seeds: this target would pass without looking at anything")
	}
	return all
}

// A header that parses marshals back to the bytes that were read.
func FuzzHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := envelope.ReadHeader(r)
		if err != nil {
			if !errors.Is(err, envelope.ErrFormat) {
				t.Fatalf("error %v", err)
			}
			return
		}
		read := b[:len(b)-r.Len()]
		if !bytes.Equal(h.Bytes(), read) || h.Len() != len(read) || envelope.HeaderLen(b) != len(read) {
			t.Fatalf("%x parses to %+v, which is %x", read, h, h.Bytes())
		}
		if h.Len() > envelope.MaxHeaderLen || len(h.Stanzas) < 1 || len(h.Stanzas) > 16 || h.Revision < 1 {
			t.Fatalf("%+v", h)
		}
		size, err := h.PlaintextSize(int64(len(b)))
		if err != nil && err != envelope.ErrDecrypt || err == nil && (size < 0 || size > int64(len(b))) {
			t.Fatalf("PlaintextSize %d, %v", size, err)
		}
	})
}

// For any bytes, the plaintext that Open returns is the start of the plaintext of a vector, and
// all of it if the reader ends without an error.
func FuzzOpen(f *testing.F) {
	sealed := make(map[[32]byte][][]byte) // by commitment, because vectors share data keys
	for _, v := range seeds(f) {
		c := [32]byte(unhex(v.Derived.Commitment))
		sealed[c] = append(sealed[c], v.Inputs.Plaintext.bytes())
	}
	first := find(f, "open-first")
	ref, sources := first.Reader.ref(), first.Reader.sources(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := envelope.Open(ctx, bytes.NewReader(b), ref, sources)
		if err != nil {
			if !refused(err) {
				t.Fatalf("error %v", err)
			}
			if _, err := readByRange(b, ref, sources); !refused(err) {
				t.Fatalf("by range: %v", err)
			}
			return
		}
		plains := sealed[r.Header().Commitment]
		if plains == nil {
			t.Fatalf("Open accepted an object that was never sealed: %x", b)
		}
		starts := func(got []byte) bool {
			return slices.ContainsFunc(plains, func(p []byte) bool { return bytes.HasPrefix(p, got) })
		}
		whole := func(got []byte) bool {
			return slices.ContainsFunc(plains, func(p []byte) bool { return bytes.Equal(p, got) })
		}
		got, err := io.ReadAll(r)
		if !starts(got) || err == nil && !whole(got) || err != nil && err != envelope.ErrDecrypt || r.Complete() != (err == nil) {
			t.Fatalf("%d bytes, %v, complete %v", len(got), err, r.Complete())
		}
		byRange, rangeErr := readByRange(b, ref, sources)
		if !starts(byRange) || (err == nil) != (rangeErr == nil) || err == nil && !bytes.Equal(got, byRange) {
			t.Fatalf("by range %d bytes, %v; whole %d bytes, %v", len(byRange), rangeErr, len(got), err)
		}
	})
}

// Any metadata is parsed like encoding/json does, or rejected; parsed metadata can be sealed
// again. The second writer seals the text, so that the key fits.
func FuzzMetadata(f *testing.F) {
	added := 0
	for _, v := range vectors(f) {
		if text := v.Inputs.Metadata.bytes(); len(text) > 0 {
			f.Add(text)
			added++
		}
	}
	if added == 0 {
		f.Fatal("no seeds: this target would pass without looking at anything")
	}
	base := find(f, "open-metadata-empty")
	ref, sources := base.Reader.ref(), base.Reader.sources(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 || len(text) > 4096 {
			return
		}
		in := base.Inputs
		in.Metadata = &value{Hex: hex.EncodeToString(text)}
		object, _ := forge(in)
		r, err := envelope.Open(ctx, bytes.NewReader(object), ref, sources)
		if err != nil {
			if err != envelope.ErrDecrypt {
				t.Fatalf("error %v", err)
			}
			return
		}
		m := r.Metadata()
		var std struct {
			ContentType string            `json:"content_type"`
			Expires     string            `json:"expires"`
			Labels      map[string]string `json:"labels"`
		}
		// encoding/json folds more letters than the format does, so the results may differ if a
		// name is not ASCII.
		if err := json.Unmarshal(text, &std); isASCII(text) && (err != nil || std.ContentType != m.ContentType || len(std.Labels) != len(m.Labels) ||
			(std.Expires == "") != m.Expires.IsZero() && std.Expires != "0001-01-01T00:00:00Z") {
			t.Fatalf("%q is read as %+v, and by encoding/json as %+v, %v", text, m, std, err)
		}
		for k, v := range std.Labels {
			if isASCII(text) && m.Labels[k] != v {
				t.Fatalf("label %q is %q, and to encoding/json %q", k, m.Labels[k], v)
			}
		}
		again := seal(t, sources, nil, &envelope.SealOptions{Metadata: m})
		o, err := envelope.OpenHeader(ctx, bytes.NewReader(again), testRef, sources)
		if err != nil || o.Metadata().ContentType != m.ContentType || !o.Metadata().Expires.Equal(m.Expires) || len(o.Metadata().Labels) != len(m.Labels) {
			t.Fatalf("%q cannot be sealed and read again: %v", text, err)
		}
	})
}

func isASCII(b []byte) bool {
	// An escape may represent any letter.
	return !bytes.ContainsFunc(b, func(r rune) bool { return r > 126 }) && !bytes.Contains(b, []byte(`\u`))
}
