// Package kek contains key sources for package envelope. A key source wraps the data key of an
// object with a key-encryption key. It derives a separate key for each full name ([envelope.Ref]),
// so the key of one name does not disclose the key of another.
//
// The source of this package is [Local]. It derives its keys from a root of 32 random bytes,
// usually in a file:
//
//	keys, created, err := kek.CreateFile("root.key") // once
//	keys, err := kek.OpenFile("root.key")            // afterwards
//
// A holder of the root can read and forge all objects that are sealed with it. Without the root,
// the objects are unrecoverable, so keep a copy of it. [ImportFile] installs the root on another
// machine. [OpenMounted] accepts a file that a container runtime has mounted. [ParseRoot] reads a
// root that a supervisor hands over as text. [Deferred] reads its root at the first use.
//
// The packages below this one contain sources with other keys: a wallet's signer, a passphrase, the
// keyring of the operating system, and key management services.
package kek

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/envelope"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// A Root is the secret from which a source derives its keys. Package fmt prints it as [redacted].
// The zero Root contains no secret.
type Root struct {
	v   *string // not *[]byte, which fmt prints for unknown verbs
	prk *string // the result of HKDF-Extract (RFC 5869) for v, which is the same for every key
}

const (
	minRoot  = 32
	maxRoot  = 64
	rootSize = 32 // length of a root from RandomRoot
)

// NewRoot returns a Root with a copy of b, which must have 32 to 64 bytes.
func NewRoot(b []byte) (Root, error) {
	if len(b) < minRoot || len(b) > maxRoot {
		return Root{}, fmt.Errorf("the root key has %d bytes, but must have %d to %d", len(b), minRoot, maxRoot)
	}
	return rootOf(b), nil
}

func rootOf(b []byte) Root {
	extracted, err := hkdf.Extract(sha256.New, b, nil)
	if err != nil {
		panic("kek: " + err.Error()) // only in FIPS mode with a root under 14 bytes
	}
	defer clear(extracted)
	v, prk := string(b), string(extracted)
	return Root{&v, &prk}
}

// RandomRoot returns a new root of 32 bytes.
func RandomRoot() Root {
	b := make([]byte, rootSize)
	defer clear(b)
	rand.Read(b)
	return rootOf(b)
}

// Reveal returns a copy of the secret. It is meant for code that stores the secret; no other method
// returns it. For the zero Root it returns nil.
func (r Root) Reveal() []byte {
	if r.v == nil {
		return nil
	}
	return []byte(*r.v)
}

// Format prints [redacted] for every verb.
func (Root) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText returns [redacted], so that JSON and other encodings do not contain the secret.
func (Root) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

func (r Root) derive(info string, n int) []byte {
	prk := []byte(*r.prk)
	defer clear(prk)
	b, err := hkdf.Expand(sha256.New, prk, info, n)
	if err != nil {
		panic("kek: " + err.Error()) // lengths are constants
	}
	return b
}

func (r Root) id(ctx [32]byte) [16]byte {
	return [16]byte(r.derive("ove1 kek-id"+string(ctx[:]), 16))
}

// aead returns the key-encryption key of one object.
func (r Root) aead(ctx [32]byte) (tink.AEAD, error) {
	key := r.derive("ove1 kek"+string(ctx[:]), 32)
	defer clear(key)
	return subtle.NewAESGCM(key)
}

// A Local is a key source whose root is in memory. Its stanzas have type 1. It does no I/O. The
// zero Local has no root; its methods that need one return [envelope.ErrInvalid].
type Local struct {
	root Root
	name string // empty: local
}

var (
	_ envelope.KeySource  = (*Local)(nil)
	_ envelope.Recognizer = (*Local)(nil)
)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return "kek: " + string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

const errNoRoot invalid = "the key source has no root"

// NewLocal returns the key source with the given root.
func NewLocal(root Root) *Local { return &Local{root: root} }

// Named returns a copy of l whose Name is name, such as "env KEY".
func (l *Local) Named(name string) *Local { return &Local{l.root, name} }

// Root returns the root of l, for code that stores it elsewhere. It is zero if l has none.
func (l *Local) Root() Root {
	if l == nil {
		return Root{}
	}
	return l.root
}

// InsecureFixed returns a key source whose root is publicly known: the bytes 00 01 … 1f. Objects
// that it seals are not secret. Use it only in examples and tests.
func InsecureFixed() *Local {
	b := make([]byte, rootSize)
	for i := range b {
		b[i] = byte(i)
	}
	return NewLocal(rootOf(b))
}

// hasRoot reports whether l, which may be nil, has a root.
func (l *Local) hasRoot() bool { return l != nil && l.root.v != nil }

// Fingerprint returns a short identifier of the root: compare it to find out whether two machines
// have the same root. It is not secret, because it discloses nothing about the root. If l has no
// root, Fingerprint returns "".
func (l *Local) Fingerprint() string {
	if !l.hasRoot() {
		return ""
	}
	return hex.EncodeToString(l.root.derive("objectvault root fingerprint", 8))
}

// Format prints [redacted] for every verb.
func (Local) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

const (
	typeRoot = 1
	dekSize  = 32
	bodySize = 12 + dekSize + 16
)

// Name implements [envelope.KeySource]. It returns "local", unless Named has set another name.
func (l *Local) Name() string {
	if l == nil || l.name == "" {
		return "local"
	}
	return l.name
}

// Remote implements [envelope.Recognizer]. It returns false.
func (*Local) Remote() bool { return false }

// Wrap implements [envelope.KeySource].
func (l *Local) Wrap(_ context.Context, _ envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if !l.hasRoot() {
		return envelope.Stanza{}, errNoRoot
	}
	if len(dek) != dekSize {
		return envelope.Stanza{}, errors.New("kek: a data key has 32 bytes")
	}
	s := envelope.Stanza{Type: typeRoot, ID: l.root.id(aad.Ctx)}
	a, err := l.root.aead(aad.Ctx)
	if err != nil {
		return envelope.Stanza{}, err
	}
	s.Body, err = a.Encrypt(dek, aad.Bytes(s.Type, s.ID))
	return s, err
}

// Recognizes implements [envelope.Recognizer]. It compares the key id of s.
func (l *Local) Recognizes(_ context.Context, _ envelope.Ref, s envelope.Stanza, aad envelope.AAD) (bool, error) {
	if !l.hasRoot() {
		return false, errNoRoot
	}
	return s.Type == typeRoot && len(s.Body) == bodySize && s.ID == l.root.id(aad.Ctx), nil
}

// Unwrap implements [envelope.KeySource].
func (l *Local) Unwrap(ctx context.Context, ref envelope.Ref, s envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	if own, err := l.Recognizes(ctx, ref, s, aad); err != nil {
		return nil, err
	} else if !own {
		return nil, envelope.ErrUnknownKey
	}
	a, err := l.root.aead(aad.Ctx)
	if err != nil {
		return nil, err
	}
	dek, err := a.Decrypt(s.Body, aad.Bytes(s.Type, s.ID))
	if err != nil {
		return nil, envelope.ErrDecrypt
	}
	return dek, nil
}
