// Package passphrase contains a key source whose keys are derived from a passphrase with Argon2id.
//
//	record, err := passphrase.Enrol(ctx, passphrase.Config{Passphrase: ask}) // once
//	source, err := passphrase.New(passphrase.Config{Passphrase: ask, Enrolment: &record})
//
// The root is Argon2id of the passphrase; the keys of the objects are derived from the root, as in
// [kek.Local]. The salt and the parameters are in each object, so a passphrase opens an object on
// any machine. To seal, a machine needs the record of [Enrol], which also contains an identifier of
// the root: a mistyped passphrase seals nothing ([envelope.ErrChanged]).
//
// When an object is opened, the source cannot distinguish a wrong passphrase from the passphrase of
// another recipient. The source does not recognize the object, and [envelope.Open] returns
// [envelope.ErrUnknownKey] unless another source opens it.
//
// The source asks for the passphrase once, when it first needs it. It runs Argon2id once for each
// salt, and never twice at the same time. By default, a run uses 64 MiB of memory. An object can
// demand up to 1 GiB, and about 20 times the work of the default.
//
// A party that has an object, or the record, can try passphrases on its own computers, at the cost of
// Argon2id for each. Choose a passphrase that cannot be guessed, for example six random words.
package passphrase

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
	"golang.org/x/crypto/argon2"
)

// A Config describes a passphrase. Passphrase is required.
type Config struct {
	// Passphrase returns the passphrase, as [Clean] returns it. The source wipes the result. It calls
	// Passphrase at most once, unless the context of the call ends before Passphrase returns. An
	// error of Passphrase counts as [envelope.ErrUnauthenticated] unless it wraps another error of
	// package envelope, or ctx has ended.
	Passphrase func(ctx context.Context) ([]byte, error)
	// Enrolment is the record of [Enrol]; nil means that the source only opens objects.
	Enrolment *Enrolment
}

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return "passphrase: " + string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

const (
	errClosed invalid = "the key source is closed"
	errZero   invalid = "the Source was not returned by New"
)

// A Source is the key source of one passphrase. Its stanzas have type 2. It is safe for concurrent
// use. [New] returns it; the methods of the zero Source return [envelope.ErrInvalid].
type Source struct {
	ask    func(ctx context.Context) ([]byte, error)
	record *Enrolment
	own    params // of record
	idKey  func(phrase, salt []byte, time, memory uint32, threads uint8, size uint32) []byte

	asking chan struct{} // holds a value while a caller asks for the passphrase
	run    chan struct{} // holds a value while Argon2 runs

	mu     sync.Mutex
	phrase []byte // nil until it is known
	failed error  // of ask
	roots  map[params]*root
	count  uint64
	closed bool
}

var (
	_ envelope.KeySource  = (*Source)(nil)
	_ envelope.Recognizer = (*Source)(nil)
)

// New returns the key source for c. It does not ask for the passphrase. If c is invalid, the error
// wraps [envelope.ErrInvalid]. The caller closes the source.
func New(c Config) (*Source, error) { return newSource(c, minWork) }

// newSource is New for records whose time·memory is at least work. Only tests pass another number than
// minWork.
func newSource(c Config, work uint64) (*Source, error) {
	if c.Passphrase == nil {
		return nil, invalid("the configuration contains no passphrase")
	}
	s := &Source{
		ask:    c.Passphrase,
		idKey:  argon2.IDKey,
		asking: make(chan struct{}, 1),
		run:    make(chan struct{}, 1),
		roots:  make(map[params]*root),
	}
	if c.Enrolment != nil {
		p, err := c.Enrolment.params(work)
		if err != nil {
			return nil, err
		}
		record := *c.Enrolment
		s.record, s.own = &record, p
	}
	return s, nil
}

// Name implements [envelope.KeySource]. It returns "passphrase".
func (*Source) Name() string { return "passphrase" }

// Format prints [redacted] for every verb.
func (*Source) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// Remote implements [envelope.Recognizer]. It returns false.
func (*Source) Remote() bool { return false }

// Close wipes the passphrase and the roots. Every later call of another method returns
// [envelope.ErrInvalid].
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	clear(s.phrase)
	s.phrase = nil
	for _, r := range s.roots {
		clear(r.secret)
	}
	clear(s.roots)
	return nil
}

// Wrap implements [envelope.KeySource]. It uses the salt and the parameters of the enrolment. Without
// one, the error wraps [envelope.ErrNotEnrolled]. If the passphrase is not the enrolled one, the error
// wraps [envelope.ErrChanged].
func (s *Source) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	switch {
	case s.ask == nil:
		return envelope.Stanza{}, errZero
	case s.record == nil:
		return envelope.Stanza{}, envelope.ErrNotEnrolled
	case len(dek) != dekSize:
		return envelope.Stanza{}, errors.New("passphrase: a data key has 32 bytes")
	}
	secret, err := s.root(ctx, s.own)
	if err != nil {
		return envelope.Stanza{}, err
	}
	defer clear(secret)
	if got, err := fingerprint(secret); err != nil {
		return envelope.Stanza{}, err
	} else if got != s.record.Fingerprint {
		return envelope.Stanza{}, fmt.Errorf("%w: this is another passphrase than the enrolled one", envelope.ErrChanged)
	}
	st := envelope.Stanza{Type: typePassphrase, ID: keyID(secret, aad.Ctx)}
	a, err := keyOf(secret, aad.Ctx)
	if err != nil {
		return envelope.Stanza{}, err
	}
	sealed, err := a.Encrypt(dek, aad.Bytes(st.Type, st.ID))
	if err != nil {
		return envelope.Stanza{}, err
	}
	st.Body = append(s.own.bytes(), sealed...)
	return st, nil
}

// Recognizes implements [envelope.Recognizer]. It derives the root with the parameters of st, if they
// are within the limits of the format, and compares the key id.
func (s *Source) Recognizes(ctx context.Context, ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) (bool, error) {
	secret, err := s.recognize(ctx, st, aad)
	clear(secret)
	return secret != nil, err
}

// recognize returns the root, which the caller wipes, or nil if the source did not make st.
func (s *Source) recognize(ctx context.Context, st envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	if s.ask == nil {
		return nil, errZero
	}
	if st.Type != typePassphrase {
		return nil, nil
	}
	p, err := parse(st.Body)
	if err != nil {
		return nil, nil // no writer makes it
	}
	secret, err := s.root(ctx, p)
	if err != nil {
		return nil, err
	}
	if keyID(secret, aad.Ctx) != st.ID {
		clear(secret)
		return nil, nil
	}
	return secret, nil
}

// Unwrap implements [envelope.KeySource]. With a wrong passphrase, the error wraps
// [envelope.ErrUnknownKey].
func (s *Source) Unwrap(ctx context.Context, ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	secret, err := s.recognize(ctx, st, aad)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, envelope.ErrUnknownKey
	}
	defer clear(secret)
	a, err := keyOf(secret, aad.Ctx)
	if err != nil {
		return nil, err
	}
	dek, err := a.Decrypt(st.Body[paramsSize:], aad.Bytes(st.Type, st.ID))
	if err != nil {
		return nil, envelope.ErrDecrypt
	}
	return dek, nil
}

const dekSize = 32

func derive(secret []byte, info string, n int) []byte {
	b, err := hkdf.Key(sha256.New, secret, nil, info, n)
	if err != nil {
		panic("passphrase: " + err.Error()) // lengths are constants
	}
	return b
}

func keyID(secret []byte, ctx [32]byte) [16]byte {
	return [16]byte(derive(secret, "ove1 kek-id"+string(ctx[:]), 16))
}

// keyOf returns the key-encryption key of one object.
func keyOf(secret []byte, ctx [32]byte) (tink.AEAD, error) {
	key := derive(secret, "ove1 kek"+string(ctx[:]), 32)
	defer clear(key)
	return subtle.NewAESGCM(key)
}

func fingerprint(secret []byte) (string, error) {
	r, err := kek.NewRoot(secret)
	if err != nil {
		return "", err
	}
	return kek.NewLocal(r).Fingerprint(), nil
}

// An Enrolment records the parameters with which a machine seals, and an identifier of the root. It
// contains no secret. All machines that seal for one vault id and tenant should have the same record.
type Enrolment struct {
	Salt        string `json:"salt"`    // 32 lower-case hex digits
	Time        uint8  `json:"time"`    // passes over the memory
	Memory      uint32 `json:"memory"`  // KiB
	Threads     uint8  `json:"threads"` // lanes
	Fingerprint string `json:"fingerprint"`
}

// Check returns an error that wraps [envelope.ErrInvalid] if e is malformed, or if its parameters are
// outside the limits of the format or too weak to seal with.
func (e *Enrolment) Check() error {
	_, err := e.params(minWork)
	return err
}

func (e *Enrolment) params(work uint64) (params, error) {
	if e == nil {
		return params{}, invalid("there is no enrolment")
	}
	salt, err := hex.DecodeString(e.Salt)
	if err != nil || len(salt) != saltSize || hex.EncodeToString(salt) != e.Salt {
		return params{}, invalid("the enrolment contains no valid salt: 32 lower-case hex digits")
	}
	if b, err := hex.DecodeString(e.Fingerprint); err != nil || len(b) != 8 || hex.EncodeToString(b) != e.Fingerprint {
		return params{}, invalid("the enrolment contains no valid fingerprint: 16 lower-case hex digits")
	}
	p := params{e.Time, e.Memory, e.Threads, [saltSize]byte(salt)}
	if err := p.check(); err != nil {
		return params{}, invalid("the enrolment: " + err.Error())
	}
	if uint64(p.time)*uint64(p.memory) < work {
		return params{}, invalid(fmt.Sprintf("the enrolment: time %d and memory %d KiB are too weak: their product must be at least %d", p.time, p.memory, work))
	}
	return p, nil
}

// Enrol generates a random salt, asks for the passphrase and derives the root. It returns the
// record with which [New] seals objects. Enrol does not use c.Enrolment. A second machine needs a
// copy of the record, because another call of Enrol generates another salt.
func Enrol(ctx context.Context, c Config) (Enrolment, error) {
	p := params{time: defaultTime, memory: defaultMemory, threads: defaultThreads}
	rand.Read(p.salt[:])
	return enrol(ctx, c, p)
}

// enrol is Enrol with the given parameters, which only tests choose.
func enrol(ctx context.Context, c Config, p params) (Enrolment, error) {
	c.Enrolment = nil
	s, err := New(c)
	if err != nil {
		return Enrolment{}, err
	}
	defer s.Close()
	secret, err := s.root(ctx, p)
	if err != nil {
		return Enrolment{}, err
	}
	defer clear(secret)
	id, err := fingerprint(secret)
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{hex.EncodeToString(p.salt[:]), p.time, p.memory, p.threads, id}, nil
}
