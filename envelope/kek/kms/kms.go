// Package kms contains the key source of a key management service (KMS). The service encrypts the
// data key of each object with a key that never leaves the service. A stanza has type 3 and contains
// the ciphertext of the service.
//
// A [Source] uses a [Service], an interface with the two calls that every KMS offers: Encrypt and
// Decrypt. The packages below this one contain a Service for each supported KMS, and constructors
// that return a Source: for example awskms.New and tencentkms.New.
//
// The plaintext that the service encrypts has always 64 bytes: a hash that binds it to the object,
// and the data key. So a ciphertext of another object, or of another program that uses the same key,
// is rejected. No encryption context is passed to the service, because not every service has one.
// The format is specified in FORMAT.md of this module.
//
// A Source can open objects as soon as it knows the full name of its key. To seal objects it must be
// enrolled on the machine: [Enrol] makes one round trip and returns the record that Config takes.
package kms

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A Service encrypts and decrypts with one key of a KMS. It must be safe for concurrent use. If it
// implements [io.Closer], [Source.Close] closes it.
//
// Decrypt must guarantee that the key with the name in [Config].KeyID, and no other key, has
// decrypted the blob: either its request names the key, or it compares the name of the key in the
// response before it returns the plaintext.
//
// The errors wrap [envelope.ErrUnavailable], [envelope.ErrUnauthenticated], [envelope.ErrDecrypt],
// [envelope.ErrInvalid], [envelope.ErrDenied] or [envelope.ErrChanged]. See [Error].
type Service interface {
	Encrypt(ctx context.Context, plaintext []byte) (blob []byte, err error)
	Decrypt(ctx context.Context, blob []byte) (plaintext []byte, err error)
}

// Config configures a [Source]. Service is required. Without KeyID and Enrolment, a source can
// neither seal nor open an object.
type Config struct {
	// Scheme is the kind of the service, for example awskms. It is used in the name of the source.
	Scheme string
	// KeyID is the full name of the key, for example the ARN of an AWS key. It is part of the id of
	// each stanza, so it must be written in the same way on every machine. It is empty if the source
	// is not enrolled and only an alias of the key is known.
	KeyID string
	// Alias is the name that the user gave to the key, if it is not KeyID. It is used in the name of
	// the source while KeyID is not known.
	Alias string
	// Service encrypts and decrypts with the key.
	Service Service
	// Enrolment is the record of [Enrol]. If it is nil, the source opens objects and seals none.
	Enrolment *Enrolment
	// Timeout limits one call of the service, including all retries. The default is 30 seconds.
	Timeout time.Duration
}

// An Enrolment records which key seals objects. It is not secret.
type Enrolment struct {
	KeyID string `json:"key_id"` // the full name of the key
}

// maxKeyID is the maximum length of the name of a key in bytes.
const maxKeyID = 2048

// Check returns an error that wraps [envelope.ErrInvalid] if the record is malformed.
func (e *Enrolment) Check() error {
	if err := checkKeyID(e.KeyID); err != nil {
		return fmt.Errorf("the enrolment of the key source: %w", err)
	}
	return nil
}

// checkKeyID accepts 1 to 2048 printable ASCII characters without spaces.
func checkKeyID(id string) error {
	if id == "" || len(id) > maxKeyID {
		return invalid(fmt.Sprintf("the name of the key has %d characters, but must have 1 to %d", len(id), maxKeyID))
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return invalid("the name of a key contains a character that is not printable ASCII")
		}
	}
	return nil
}

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

const (
	typeKMS       = 3
	dekSize       = 32
	plaintextSize = sha256.Size + dekSize
	maxBlob       = 8192

	defaultTimeout = 30 * time.Second
)

// A Source is the key source of one key of a KMS. It is safe for concurrent use.
type Source struct {
	scheme  string
	keyID   string // empty if only an alias is known
	alias   string
	service Service
	sealing error // why Wrap cannot seal, or nil
	timeout time.Duration
}

var (
	_ envelope.KeySource  = (*Source)(nil)
	_ envelope.Recognizer = (*Source)(nil)
	_ io.Closer           = (*Source)(nil)
)

// New returns the key source of a key. It sends no request.
func New(c Config) (*Source, error) {
	s := &Source{scheme: cmp.Or(c.Scheme, "kms"), keyID: c.KeyID, alias: c.Alias, service: c.Service, timeout: cmp.Or(c.Timeout, defaultTimeout)}
	if c.Service == nil {
		return nil, invalid("the key source has no service")
	}
	switch {
	case c.Enrolment == nil:
		s.sealing = envelope.ErrNotEnrolled
	case c.Enrolment.Check() != nil:
		return nil, c.Enrolment.Check()
	case c.KeyID == "":
		s.keyID = c.Enrolment.KeyID
	case c.KeyID != c.Enrolment.KeyID:
		s.sealing = fmt.Errorf("%w: the enrolment is for the key %s", envelope.ErrChanged, c.Enrolment.KeyID)
	}
	if s.keyID != "" {
		if err := checkKeyID(s.keyID); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Enrol encrypts and decrypts 64 random bytes, to find out whether the key can be used, and returns
// the record for [Config]. It ignores the Enrolment of c.
func Enrol(ctx context.Context, c Config) (Enrolment, error) {
	e := Enrolment{c.KeyID}
	if err := e.Check(); err != nil {
		return Enrolment{}, err
	}
	c.Enrolment = &e
	s, err := New(c)
	if err != nil {
		return Enrolment{}, err
	}
	probe := make([]byte, plaintextSize)
	rand.Read(probe)
	blob, err := s.encrypt(ctx, probe)
	if err != nil {
		return Enrolment{}, err
	}
	got, err := s.decrypt(ctx, blob)
	if err != nil {
		return Enrolment{}, err
	}
	defer clear(got)
	if subtle.ConstantTimeCompare(got, probe) != 1 {
		return Enrolment{}, fmt.Errorf("%w: the key service does not return what it encrypted", envelope.ErrUnavailable)
	}
	return e, nil
}

// Name implements [envelope.KeySource]. It returns the kind of the service and the name of the key,
// for example "awskms arn:aws:kms:eu-central-1:111122223333:key/…".
func (s *Source) Name() string {
	return strings.TrimSpace(s.scheme + " " + cmp.Or(s.keyID, s.alias))
}

// Remote implements [envelope.Recognizer]. It returns true.
func (*Source) Remote() bool { return true }

// Close closes the connections of the service, if it has some. The source must not be used afterwards.
func (s *Source) Close() error {
	if c, ok := s.service.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// id returns the id of the stanzas of an object.
func (s *Source) id(ctx [32]byte) [16]byte {
	b := []byte("ove1 kms")
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.keyID)))
	b = append(b, s.keyID...)
	b = append(b, ctx[:]...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:])
}

// Wrap implements [envelope.KeySource]. If the source is not enrolled, the error wraps
// [envelope.ErrNotEnrolled]. If the record is for another key, it wraps [envelope.ErrChanged].
func (s *Source) Wrap(ctx context.Context, _ envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	switch {
	case s.sealing != nil:
		return envelope.Stanza{}, s.sealing
	case len(dek) != dekSize:
		return envelope.Stanza{}, invalid("a data key has 32 bytes")
	}
	st := envelope.Stanza{Type: typeKMS, ID: s.id(aad.Ctx)}
	hash := sha256.Sum256(aad.Bytes(st.Type, st.ID))
	plaintext := append(append(make([]byte, 0, plaintextSize), hash[:]...), dek...)
	defer clear(plaintext)
	var err error
	st.Body, err = s.encrypt(ctx, plaintext)
	return st, err
}

// Recognizes implements [envelope.Recognizer]. It compares the id of the stanza and sends no
// request. If only an alias of the key is known, it cannot recognize a stanza of a KMS: then the
// error wraps [envelope.ErrNotEnrolled] and [envelope.ErrUnavailable].
func (s *Source) Recognizes(_ context.Context, _ envelope.Ref, st envelope.Stanza, aad envelope.AAD) (bool, error) {
	switch {
	case st.Type != typeKMS:
		return false, nil
	case s.keyID == "":
		return false, errAlias
	}
	return st.ID == s.id(aad.Ctx), nil
}

var errAlias = fmt.Errorf("%w: only an alias of the key is known, and not its id (%w)", envelope.ErrNotEnrolled, envelope.ErrUnavailable)

// Unwrap implements [envelope.KeySource]. If the service denies the key, the error wraps
// [envelope.ErrDenied] and also [envelope.ErrUnavailable], so that another recipient of the object is
// tried.
func (s *Source) Unwrap(ctx context.Context, ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	if own, err := s.Recognizes(ctx, ref, st, aad); err != nil {
		return nil, err
	} else if !own {
		return nil, envelope.ErrUnknownKey
	}
	if len(st.Body) == 0 || len(st.Body) > maxBlob {
		return nil, envelope.ErrDecrypt
	}
	plaintext, err := s.decrypt(ctx, st.Body)
	if errors.Is(err, envelope.ErrDenied) {
		return nil, &deniedError{err}
	}
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	hash := sha256.Sum256(aad.Bytes(st.Type, st.ID))
	if len(plaintext) != plaintextSize || subtle.ConstantTimeCompare(plaintext[:sha256.Size], hash[:]) != 1 {
		return nil, envelope.ErrDecrypt
	}
	dek := make([]byte, dekSize)
	copy(dek, plaintext[sha256.Size:])
	return dek, nil
}

// A deniedError is a [envelope.ErrDenied] after which other recipients are tried.
type deniedError struct{ err error }

func (e *deniedError) Error() string   { return e.err.Error() }
func (e *deniedError) Unwrap() []error { return []error{e.err, envelope.ErrUnavailable} }

func (s *Source) encrypt(ctx context.Context, plaintext []byte) (blob []byte, err error) {
	err = s.within(ctx, func(ctx context.Context) error {
		blob, err = s.service.Encrypt(ctx, plaintext)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(blob) == 0 || len(blob) > maxBlob {
		return nil, fmt.Errorf("%w: the key service returned a ciphertext of %d bytes; an envelope contains 1 to %d", envelope.ErrUnavailable, len(blob), maxBlob)
	}
	return blob, nil
}

func (s *Source) decrypt(ctx context.Context, blob []byte) (plaintext []byte, err error) {
	err = s.within(ctx, func(ctx context.Context) error {
		plaintext, err = s.service.Decrypt(ctx, blob)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(plaintext) == 0 { // otherwise the object would seem to be damaged
		return nil, fmt.Errorf("%w: the key service returned no plaintext", envelope.ErrUnavailable)
	}
	return plaintext, nil
}

// within calls the service with the time limit. When the context of the caller ends, the error is
// the one of that context.
func (s *Source) within(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := call(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%w: no response within %v", envelope.ErrUnavailable, s.timeout)
	}
	return err
}
