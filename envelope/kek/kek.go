// Package kek contains the key sources of package envelope, which supply key-encryption keys.
// Each key is derived for one name of one collection of one tenant, so a process that receives
// one key has no other.
//
// The source of this package is [Local]: a root of 32 random bytes, usually in a file.
//
//	keys, created, err := kek.CreateFile("root.key") // once
//	keys, err := kek.OpenFile("root.key")            // afterwards
//
// A holder of the root can read and forge all objects that are sealed with it. Without the root
// they are unrecoverable: keep a copy. [ImportFile] installs the root on another machine.
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

// A Root is the secret from which a source derives its keys. It is redacted when it is printed.
// The zero Root has no secret.
type Root struct{ v *string } // not *[]byte, which fmt prints for unknown verbs

const (
	minRoot  = 32
	maxRoot  = 64
	rootSize = 32 // length of a root from RandomRoot
)

// NewRoot returns a copy of b, 32 to 64 bytes, as a Root.
func NewRoot(b []byte) (Root, error) {
	if len(b) < minRoot || len(b) > maxRoot {
		return Root{}, fmt.Errorf("the root key has %d bytes; %d to %d are required", len(b), minRoot, maxRoot)
	}
	return rootOf(b), nil
}

func rootOf(b []byte) Root {
	v := string(b)
	return Root{&v}
}

// RandomRoot returns a new root of 32 bytes.
func RandomRoot() Root {
	b := make([]byte, rootSize)
	defer clear(b)
	rand.Read(b)
	return rootOf(b)
}

// Reveal returns a copy of the secret, for code that stores it. No other method returns the
// secret. The zero Root returns nil.
func (r Root) Reveal() []byte {
	if r.v == nil {
		return nil
	}
	return []byte(*r.v)
}

// Format prints [redacted], whatever the verb.
func (Root) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText returns [redacted], so that JSON and other encodings do not contain the secret.
func (Root) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

func (r Root) derive(info string, n int) []byte {
	secret := r.Reveal()
	defer clear(secret)
	b, err := hkdf.Key(sha256.New, secret, nil, info, n)
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

// Local is a source with a root in memory. Its stanzas have type 1. It does no I/O. If a Local
// has no root, like the zero Local, every method that needs one returns [envelope.ErrInvalid].
type Local struct{ root Root }

var (
	_ envelope.KeySource  = (*Local)(nil)
	_ envelope.Recognizer = (*Local)(nil)
)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return "kek: " + string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

const errNoRoot invalid = "the key source has no root"

// NewLocal returns the source of root.
func NewLocal(root Root) *Local { return &Local{root} }

// InsecureFixed returns a source with a public root: the bytes 00 01 … 1f. Its objects are not
// secret. Use it in examples and tests only.
func InsecureFixed() *Local {
	b := make([]byte, rootSize)
	for i := range b {
		b[i] = byte(i)
	}
	return &Local{rootOf(b)}
}

// hasRoot reports whether l, which may be nil, has a root.
func (l *Local) hasRoot() bool { return l != nil && l.root.v != nil }

// Fingerprint returns a short public identifier of the root, for comparing the roots of two
// machines. It does not help to find the root. Without a root it is empty.
func (l *Local) Fingerprint() string {
	if !l.hasRoot() {
		return ""
	}
	return hex.EncodeToString(l.root.derive("objectvault root fingerprint", 8))
}

// Format prints [redacted], whatever the verb.
func (Local) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

const (
	typeRoot = 1
	dekSize  = 32
	bodySize = 12 + dekSize + 16
)

// Name implements [envelope.KeySource]. It returns "local".
func (*Local) Name() string { return "local" }

// Remote implements [envelope.Recognizer]. It returns false.
func (*Local) Remote() bool { return false }

// Wrap implements [envelope.KeySource].
func (l *Local) Wrap(_ context.Context, _ envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if !l.hasRoot() {
		return envelope.Stanza{}, errNoRoot
	}
	if len(dek) != dekSize {
		return envelope.Stanza{}, errors.New("kek: the data key does not have 32 bytes")
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
