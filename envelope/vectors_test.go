package envelope_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/streamingaead/aesgcmhkdf"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// The frozen vector is repeated here, so that no other code can change it.
const firstObject = "4f56453101000c01008500064441f8eb5800000001099e8f1efff89cae51afc83a115d3fd4003c" +
	"a0a1a2a3a4a5a6a7a8a9aaab18c4eec0e72fbd63c5c08697cbcbbe8e3d2ec3ade61e3ab558e750b30ad8159e31dd9cc9cb55a5974bf2b0aa97f8cccb0000" +
	"4deb2da615a5ebd81132e8aa0779420e04bba8a628851f9e8dd8347c0f709045" +
	"28404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f80818283848586148513cb54d56b74078301429659be2e259f1f399b681a0d2d7c6dd40e72e2205069"

// vectors reads testdata/vectors. Files are only added, never removed.
func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 189 {
		t.Fatalf("%d vectors (%v), there were 189", len(files), err)
	}
	var all []vector
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if v.ID+".json" != filepath.Base(file) || v.Format != "objectvault envelope vector 1" {
			t.Errorf("%s has the format %q and the id %q", file, v.Format, v.ID)
		}
		all = append(all, v)
	}
	return all
}

func find(t testing.TB, id string) vector {
	t.Helper()
	for _, v := range vectors(t) {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("no vector %s", id)
	return vector{}
}

// object returns the sealed bytes; a large vector contains only their hash.
func (v vector) object(t testing.TB) []byte {
	t.Helper()
	var b []byte
	if v.Object != nil {
		b = unhex(*v.Object)
	} else {
		b, _ = forge(v.Inputs)
	}
	if sum := sha256.Sum256(b); len(b) != v.ObjectLen || hex.EncodeToString(sum[:]) != v.ObjectSHA256 {
		t.Fatalf("%s: the object is not the one of the hash", v.ID)
	}
	return b
}

func (r reader) ref() envelope.Ref {
	return envelope.Ref{Vault: r.Vault, Tenant: r.Tenant, Collection: r.Collection, Name: r.Name}
}

func (in inputs) ref() envelope.Ref {
	return envelope.Ref{Vault: in.Vault, Tenant: in.Tenant, Collection: in.Collection, Name: in.Name}
}

func (r reader) sources(t testing.TB) []envelope.KeySource { return sourcesOf(t, r.Roots...) }

func sourcesOf(t testing.TB, roots ...string) []envelope.KeySource {
	t.Helper()
	var all []envelope.KeySource
	for _, s := range roots {
		root, err := kek.NewRoot(unhex(s))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kek.NewLocal(root))
	}
	return all
}

var sentinels = map[string]error{
	"ErrFormat":     envelope.ErrFormat,
	"ErrUnknownKey": envelope.ErrUnknownKey,
	"ErrDecrypt":    envelope.ErrDecrypt,
}

// readAll opens and reads a whole object.
func readAll(object []byte, ref envelope.Ref, sources []envelope.KeySource) ([]byte, *envelope.Reader, error) {
	r, err := envelope.Open(context.Background(), bytes.NewReader(object), ref, sources)
	if err != nil {
		return nil, nil, err
	}
	plain, err := io.ReadAll(r)
	return plain, r, err
}

func TestFirstVector(t *testing.T) {
	v := find(t, "open-first")
	if got := hex.EncodeToString(v.object(t)); got != firstObject {
		t.Fatalf("the first vector is\n%s, want\n%s", got, firstObject)
	}
	for _, tc := range []struct{ what, got, want string }{
		{"ctx", v.Derived.Ctx, "078795bf0824163e196fc61840b0625b01025121b12a4469a21e3c33add17c8a"},
		{"KEK", v.Derived.Stanzas[0].KEK, "cb1c70c60189bacf1df890506949bee60cb6c1ac4ae6cab68751ce4459442375"},
		{"kekID", v.Derived.Stanzas[0].KEKID, "099e8f1efff89cae51afc83a115d3fd4"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %s, want %s", tc.what, tc.got, tc.want)
		}
	}
}

// The second writer computes every vector again from its inputs, with every intermediate value.
func TestVectorsRecomputed(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			object, d := forge(v.Inputs)
			if !bytes.Equal(object, v.object(t)) {
				t.Error("the inputs make another object")
			}
			same := cmp.Comparer(func(a, b *value) bool { return bytes.Equal(a.bytes(), b.bytes()) })
			if diff := cmp.Diff(v.Derived, d, same); diff != "" {
				t.Errorf("intermediates (-file +computed):\n%s", diff)
			}
			if v.Error != "" {
				return
			}
			if got := hex.EncodeToString(ctxOf(v.Inputs.ref())); got != v.Derived.Ctx {
				t.Errorf("Ref.Context() = %s, want %s", got, v.Derived.Ctx)
			}
			if got := objectKey(v.Inputs.Tenant, v.Inputs.Collection, v.Inputs.Name); got != v.ObjectKey {
				t.Errorf("object key %s, want %s", got, v.ObjectKey)
			}
			aad := envelope.AAD{Stable: [15]byte(unhex(v.Derived.Stable)), Ctx: v.Inputs.ref().Context()}
			for i, s := range v.Derived.Stanzas {
				if got := hex.EncodeToString(aad.Bytes(v.Inputs.Stanzas[i].Type, [16]byte(unhex(s.KEKID)))); s.WrapAAD != "" && got != s.WrapAAD {
					t.Errorf("AAD.Bytes() = %s, want %s", got, s.WrapAAD)
				}
			}
		})
	}
}

func ctxOf(ref envelope.Ref) []byte { c := ref.Context(); return c[:] }

// Every vector is read as a whole, by its header only, and by ranges.
func TestVectorsRead(t *testing.T) {
	opened := 0
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			object := v.object(t)
			plain, r, err := readAll(object, v.Reader.ref(), v.Reader.sources(t))
			byRange, rangeErr := readByRange(object, v.Reader.ref(), v.Reader.sources(t))
			if v.Error != "" {
				want := sentinels[v.Error]
				if want == nil || !errors.Is(err, want) || !errors.Is(rangeErr, want) {
					t.Fatalf("errors %v and, by range, %v, want %s", err, rangeErr, v.Error)
				}
				if r != nil && r.Complete() {
					t.Error("a refused object is reported as complete")
				}
				if strings.Contains(v.About, "newer vault") != strings.Contains(err.Error(), "needs a newer vault") {
					t.Errorf("the error is %q for: %s", err, v.About)
				}
				return
			}
			opened++
			if err != nil || rangeErr != nil {
				t.Fatal(err, rangeErr)
			}
			want := v.Inputs.Plaintext.bytes()
			if !bytes.Equal(plain, want) || !bytes.Equal(byRange, want) {
				t.Errorf("%d bytes, by range %d, are not the %d of the plaintext", len(plain), len(byRange), len(want))
			}
			if !r.Complete() {
				t.Error("read to the end and not complete")
			}
			if diff := cmp.Diff(v.wantMetadata(t), r.Metadata(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			h := r.Header()
			if h.Revision != int64(v.Inputs.Revision) || h.Rewrap != v.Inputs.Rewrap || h.SegmentLog2 != int(v.Inputs.K) ||
				h.Len() != v.Derived.HeaderLen || hex.EncodeToString(h.Commitment[:]) != v.Derived.Commitment {
				t.Errorf("header %+v", h)
			}
			if !bytes.Equal(h.Bytes(), object[:h.Len()]) {
				t.Error("header bytes are not those that were read")
			}
			if n, err := h.PlaintextSize(int64(len(object))); n != int64(len(want)) || err != nil {
				t.Errorf("PlaintextSize = %d, %v", n, err)
			}
			openWithTink(t, v, object[h.Len():], want)
		})
	}
	if opened < 57 {
		t.Errorf("only %d vectors open", opened)
	}
}

func (v vector) wantMetadata(t *testing.T) (m envelope.Metadata) {
	t.Helper()
	if v.Metadata == nil {
		return m
	}
	m.ContentType, m.Labels = v.Metadata.ContentType, v.Metadata.Labels
	if v.Metadata.Expires != "" {
		var err error
		if m.Expires, err = time.Parse(time.RFC3339, v.Metadata.Expires); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// readByRange reads an object like package vault reads a part of one.
func readByRange(object []byte, ref envelope.Ref, sources []envelope.KeySource) ([]byte, error) {
	o, err := envelope.OpenHeader(context.Background(), bytes.NewReader(object), ref, sources)
	if err != nil {
		return nil, err
	}
	s, err := o.Range(int64(len(object)), 0, -1)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(o.OpenRange(bytes.NewReader(object[s.Offset:s.Offset+s.Length]), s))
}

// stockTink opens payloads with Tink's keyset handle only.
func stockTink(t testing.TB, key []byte, log2 int) tink.StreamingAEAD {
	t.Helper()
	params, err := aesgcmhkdf.NewParameters(aesgcmhkdf.ParametersOpts{
		KeySizeInBytes: 32, DerivedKeySizeInBytes: 32, HKDFHashType: aesgcmhkdf.SHA256, SegmentSizeInBytes: 1 << log2,
	})
	if err != nil {
		t.Fatal(err)
	}
	k, err := aesgcmhkdf.NewKey(params, secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{}))
	if err != nil {
		t.Fatal(err)
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	handle, err := m.Handle()
	if err != nil {
		t.Fatal(err)
	}
	primitive, err := streamingaead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return primitive
}

func openWithTink(t *testing.T, v vector, payload, want []byte) {
	t.Helper()
	r, err := stockTink(t, unhex(v.Derived.PayloadKey), int(v.Inputs.K)).NewDecryptingReader(bytes.NewReader(payload), unhex(v.Derived.Stable))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("stock Tink reads %d bytes, %v; want %d", len(got), err, len(want))
	}
}

// feed makes crypto/rand return exactly b. Tests that use it are not parallel.
func feed(t *testing.T, b []byte) {
	t.Helper()
	left := bytes.NewReader(b)
	old := rand.Reader
	rand.Reader = left
	t.Cleanup(func() {
		rand.Reader = old
		if left.Len() > 0 {
			t.Errorf("%d random bytes were not drawn", left.Len())
		}
	})
}

// The package writes each vector that it can write byte for byte, drawing random bytes in the
// order of the vector.
func TestVectorsSealed(t *testing.T) {
	sealed := 0
	for _, v := range vectors(t) {
		if v.Error != "" || v.Inputs.EmptyFinal || strings.HasPrefix(v.ID, "open-type-4-") || strings.HasPrefix(v.ID, "open-type-127-") {
			continue // this package never writes this object
		}
		m := v.wantMetadata(t)
		if v.Inputs.Metadata != nil && v.ID != "open-metadata-full" && v.ID != "open-metadata-4096-label" &&
			v.ID != "open-metadata-labels-64" && v.ID != "open-metadata-content-type-255" &&
			v.ID != "open-metadata-expires-leap-day" && v.ID != "open-metadata-expires-9999" {
			continue // only other writers produce this text
		}
		t.Run(v.ID, func(t *testing.T) {
			roots := v.Inputs.WrittenFor
			var sources []envelope.KeySource
			if roots == nil {
				for i, s := range v.Inputs.Stanzas {
					if s.Root == "" || s.DEK != "" {
						sources = append(sources, foreign{s.Type, [16]byte(unhex(v.Derived.Stanzas[i].KEKID)), v.Derived.Stanzas[i].Body.bytes()})
						continue
					}
					sources = append(sources, sourcesOf(t, s.Root)...)
				}
			} else {
				sources = sourcesOf(t, roots...)
			}
			random := tape(v.Inputs.Random)
			if v.ID == "open-two-keys-first" {
				random = slices.Delete(slices.Clone(random), 2, 3) // the attacker's own wrapping
			}
			feed(t, random.bytes())
			var b bytes.Buffer
			w, err := envelope.Seal(context.Background(), &b, v.Inputs.ref(), sources, &envelope.SealOptions{
				Revision: int64(v.Inputs.Revision), Metadata: m, SegmentLog2: int(v.Inputs.K),
			})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(w.Header().Bytes(), b.Bytes()[:w.Header().Len()]) || b.Len() != w.Header().Len()+40 {
				t.Error("Seal returned before the header was written")
			}
			if _, err := w.Write(v.Inputs.Plaintext.bytes()); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := b.Bytes()
			if v.Inputs.Rewrap > 0 {
				got = rewrapTo(t, v, got)
			}
			if !bytes.Equal(got, v.object(t)) {
				t.Errorf("sealed\n%x\nwant\n%x", got, v.object(t))
			}
			sealed++
		})
	}
	if sealed < 47 {
		t.Errorf("only %d vectors were sealed", sealed)
	}
}

// rewrapTo rewraps an object until only the last rewrap of v is missing, and then does that
// one.
func rewrapTo(t *testing.T, v vector, object []byte) []byte {
	t.Helper()
	in := v.Inputs
	in.Rewrap, in.RewrapRandom, in.Stanzas = v.Inputs.Rewrap-1, nil, nil
	var roots []string
	for _, root := range v.Inputs.WrittenFor {
		in.Stanzas = append(in.Stanzas, stanza{Type: 1, Root: root})
	}
	for _, s := range v.Inputs.Stanzas {
		roots = append(roots, s.Root)
	}
	before, _ := forge(in)
	if in.Rewrap == 0 && !bytes.Equal(before, object) {
		t.Error("the object before the rewrap differs")
	}
	h, err := envelope.ReadHeader(bytes.NewReader(before))
	if err != nil {
		t.Fatal(err)
	}
	feed(t, tape(v.Inputs.RewrapRandom).bytes())
	header, err := envelope.Rewrap(context.Background(), h, in.ref(), sourcesOf(t, in.WrittenFor...), sourcesOf(t, roots...))
	if err != nil {
		t.Fatal(err)
	}
	return append(header, object[h.Len():]...)
}

// A foreign source wraps every key into the same stanza.
type foreign struct {
	typ  byte
	id   [16]byte
	body []byte
}

func (foreign) Name() string { return "foreign" }

func (f foreign) Wrap(context.Context, envelope.Ref, []byte, envelope.AAD) (envelope.Stanza, error) {
	return envelope.Stanza{Type: f.typ, ID: f.id, Body: f.body}, nil
}

func (f foreign) Unwrap(context.Context, envelope.Ref, envelope.Stanza, envelope.AAD) ([]byte, error) {
	return nil, envelope.ErrUnknownKey
}
