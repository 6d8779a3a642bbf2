package envelope

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	aead "github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// A Ref is the full name of an object. This package does not check or change its parts; package
// vault checks them and converts the tenant to lower case.
type Ref struct{ Vault, Tenant, Collection, Name string }

// Context returns a hash of the four parts. Stanzas and the commitment are bound to it. It is not a
// [context.Context].
func (r Ref) Context() [32]byte {
	b := []byte("ove1 ctx")
	for _, part := range []string{r.Vault, r.Tenant, r.Collection, r.Name} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// An AAD (additional authenticated data) contains the values to which a stanza is bound.
type AAD struct {
	Stable [15]byte // the part of the header that a rewrap does not change
	Ctx    [32]byte // [Ref.Context]
}

// Bytes returns the additional authenticated data of a stanza with the given type and key id.
func (a AAD) Bytes(typ byte, kekID [16]byte) []byte {
	b := make([]byte, 0, len("ove1 wrap")+len(a.Stable)+1+len(kekID)+len(a.Ctx))
	b = append(b, "ove1 wrap"...)
	b = append(b, a.Stable[:]...)
	b = append(b, typ)
	b = append(b, kekID[:]...)
	return append(b, a.Ctx[:]...)
}

// A dataKey is the key of one object. All keys but those of the stanzas are derived from it.
type dataKey struct {
	dek []byte
	prk []byte // the result of HKDF-Extract (RFC 5869), which is the same for every derivation
}

const dataKeySize = 32

func randomDataKey() dataKey {
	dek := make([]byte, dataKeySize)
	rand.Read(dek) // never fails; it would crash the program instead
	return newDataKey(dek)
}

// newDataKey returns the data key dek. It keeps the slice.
func newDataKey(dek []byte) dataKey {
	prk, err := hkdf.Extract(sha256.New, dek, nil)
	return dataKey{dek, must(prk, err)}
}

// clear overwrites the key.
func (k dataKey) clear() {
	clear(k.dek)
	clear(k.prk)
}

func (k dataKey) derive(info string) []byte {
	b, err := hkdf.Expand(sha256.New, k.prk, info, 32)
	return must(b, err)
}

// must returns b, the result of a function that fails only in FIPS mode with a key under 14 bytes.
func must(b []byte, err error) []byte {
	if err != nil {
		panic("envelope: " + err.Error())
	}
	return b
}

// commitment returns a hash that binds data key, header and name. AES-GCM alone does not commit
// to its key.
func (k dataKey) commitment(header []byte, ctx [32]byte) [32]byte {
	hash := sha256.Sum256(header[:len(header)-commitmentSize])
	return [32]byte(k.derive("ove1 commit" + string(hash[:]) + string(ctx[:])))
}

// metadata returns the AEAD of the sealed metadata.
func (k dataKey) metadata() (tink.AEAD, error) {
	key := k.derive("ove1 meta")
	defer clear(key)
	return aead.NewAESGCM(key)
}

func (k dataKey) payloadKey() []byte { return k.derive("ove1 payload") }
