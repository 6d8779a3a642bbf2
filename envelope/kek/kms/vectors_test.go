package kms_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
)

// A vector is an object with one stanza of type 3. A KMS is replaced by AES-256-GCM with a fixed key:
// its blob is nonce ‖ ciphertext ‖ tag.
type vector struct {
	ID    string `json:"id"`
	About string `json:"about"`

	// Inputs.
	Vault      string `json:"vault"`
	Tenant     string `json:"tenant"`
	Collection string `json:"collection"`
	Name       string `json:"name"`
	KeyID      string `json:"key_id"` // of the reader
	ServiceKey string `json:"service_key"`
	Nonce      string `json:"service_nonce"`
	DEK        string `json:"dek"`
	Payload    string `json:"payload"` // sealed under the DEK: that of open-first.json of the envelope

	// Deviations of the writer in a refused vector; empty: none.
	SealedKeyID string `json:"sealed_key_id,omitempty"` // in the kekID
	SealedName  string `json:"sealed_name,omitempty"`   // in the hash
	Plaintext   string `json:"plaintext,omitempty"`     // of the service, instead of hash ‖ DEK

	// Intermediates.
	Ctx        string `json:"ctx"`
	KEKID      string `json:"kek_id"`
	WrapAAD    string `json:"wrap_aad"`
	Hash       string `json:"hash"`
	Blob       string `json:"blob"`
	HeaderHash string `json:"header_hash"`
	Commitment string `json:"commitment"`
	Object     string `json:"object"`

	Value string `json:"value,omitempty"` // the plaintext of the object
	Error string `json:"error,omitempty"` // instead of a value
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// A fixed is a KMS whose key and nonce are known.
type fixed struct{ key, nonce []byte }

func (f fixed) gcm() cipher.AEAD {
	b, err := aes.NewCipher(f.key)
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		panic(err)
	}
	return a
}

func (f fixed) Encrypt(_ context.Context, plaintext []byte) ([]byte, error) {
	return f.gcm().Seal(slices.Clone(f.nonce), f.nonce, plaintext, nil), nil
}

func (f fixed) Decrypt(_ context.Context, blob []byte) ([]byte, error) {
	if len(blob) < 12 {
		return nil, &kms.Error{Kind: envelope.ErrDecrypt}
	}
	plaintext, err := f.gcm().Open(nil, blob[:12], blob[12:], nil)
	if err != nil {
		return nil, &kms.Error{Kind: envelope.ErrDecrypt}
	}
	return plaintext, nil
}

func (v vector) ref() envelope.Ref {
	return envelope.Ref{Vault: v.Vault, Tenant: v.Tenant, Collection: v.Collection, Name: v.Name}
}

// forge computes the intermediates of v from its inputs. It shares no code with the package.
func (v vector) forge() vector {
	len4 := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	sum := func(parts ...[]byte) []byte { s := sha256.Sum256(slices.Concat(parts...)); return s[:] }
	hashOf := func(name string) []byte {
		return sum([]byte("ove1 ctx"), len4(v.Vault), len4(v.Tenant), len4(v.Collection), len4(name))
	}
	ctx, sealedCtx := hashOf(v.Name), hashOf(v.Name)
	if v.SealedName != "" {
		sealedCtx = hashOf(v.SealedName)
	}
	keyID := v.KeyID
	if v.SealedKeyID != "" {
		keyID = v.SealedKeyID
	}
	kekID := sum([]byte("ove1 kms"), len4(keyID), ctx)[:16]
	before, after := unhex("4f56453101000c01"), unhex("00064441f8eb58000000") // the header of open-first.json, without its length
	stable := slices.Concat(before[:7], after[:8])
	wrapAAD := slices.Concat([]byte("ove1 wrap"), stable, []byte{3}, kekID, sealedCtx)
	hash := sum(wrapAAD)
	plaintext := slices.Concat(hash, unhex(v.DEK))
	if v.Plaintext != "" {
		plaintext = unhex(v.Plaintext)
	}
	blob, _ := fixed{unhex(v.ServiceKey), unhex(v.Nonce)}.Encrypt(context.Background(), plaintext)
	header := slices.Concat(before, binary.BigEndian.AppendUint16(nil, uint16(20+19+len(blob)+2+32)), after,
		[]byte{3}, kekID, binary.BigEndian.AppendUint16(nil, uint16(len(blob))), blob, []byte{0, 0})
	headerHash := sum(header)
	commitment, err := hkdf.Key(sha256.New, unhex(v.DEK), nil, "ove1 commit"+string(headerHash)+string(ctx), 32)
	if err != nil {
		panic(err)
	}
	x := hex.EncodeToString
	v.Ctx, v.KEKID, v.WrapAAD, v.Hash, v.Blob = x(ctx), x(kekID), x(wrapAAD), x(hash), x(blob)
	v.HeaderHash, v.Commitment, v.Object = x(headerHash), x(commitment), x(slices.Concat(header, commitment, unhex(v.Payload)))
	return v
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var all []vector
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 7 {
		t.Fatalf("%d vectors, there were 7", len(all))
	}
	return all
}

var sentinels = map[string]error{"ErrUnknownKey": envelope.ErrUnknownKey, "ErrDecrypt": envelope.ErrDecrypt}

// TestVectors opens the object of each vector, and computes it again from its inputs.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			if again := v.forge(); again != v {
				t.Errorf("computed again: %+v\nwant %+v", again, v)
			}
			s, err := kms.New(kms.Config{KeyID: v.KeyID, Service: fixed{unhex(v.ServiceKey), unhex(v.Nonce)}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := envelope.Open(t.Context(), bytes.NewReader(unhex(v.Object)), v.ref(), []envelope.KeySource{s})
			var value []byte
			if err == nil {
				value, err = io.ReadAll(r)
			}
			if v.Error != "" && !errors.Is(err, sentinels[v.Error]) || v.Error == "" && (err != nil || string(value) != v.Value) {
				t.Errorf("opening returns %q, %v, want %q %s", value, err, v.Value, v.Error)
			}
		})
	}
}

// TestWrapVector: Wrap makes the stanza of the vector.
func TestWrapVector(t *testing.T) {
	v := vectors(t)[0]
	s, err := kms.New(kms.Config{
		KeyID: v.KeyID, Enrolment: &kms.Enrolment{KeyID: v.KeyID}, Service: fixed{unhex(v.ServiceKey), unhex(v.Nonce)},
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Wrap(t.Context(), v.ref(), unhex(v.DEK), envelope.AAD{Stable: [15]byte(unhex(v.WrapAAD)[9:24]), Ctx: v.ref().Context()})
	if err != nil || st.Type != 3 || hex.EncodeToString(st.ID[:]) != v.KEKID || hex.EncodeToString(st.Body) != v.Blob {
		t.Errorf("Wrap returns %d:%x %x, %v", st.Type, st.ID, st.Body, err)
	}
}

// TestVectorsInNode computes the vectors with the crypto module of Node.js.
func TestVectorsInNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "node") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), node, "testdata/check.mjs", "testdata/vectors.json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "7 vectors") {
		t.Errorf("%v: %s", err, out)
	}
}
