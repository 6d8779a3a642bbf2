// Package keyring contains a key source whose root is in the keyring of the operating system: the
// Secret Service on Linux (GNOME Keyring, KWallet, KeePassXC), the Keychain on macOS, and the
// Credential Manager on Windows. [Enrol] creates the root. Its stanzas are those of [kek.Local].
//
//	e, err := keyring.Enrol(ctx, keyring.Config{Name: "work"}) // once
//	keys, err := keyring.New(keyring.Config{Name: "work", Enrolment: &e})
//
// Any program of the same user can read the root while the keyring is unlocked. The operating
// system may ask the user to unlock it. Without the root, the objects are unrecoverable, so keep a
// copy of it: see [Root].
package keyring

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	system "github.com/zalando/go-keyring"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/text"
)

// service is the name under which the keyring shows the roots of all names.
const service = "objectvault"

// ErrNone means that the operating system has no keyring, that it is locked, or that it does not
// respond. The error also wraps [envelope.ErrUnavailable].
var ErrNone = errors.New("no keyring of the operating system can be used")

// A Config describes a root in the keyring.
type Config struct {
	// Name identifies the root: 1 to 64 letters, digits, '.', '_' or '-'.
	Name string
	// Enrolment is the result of [Enrol]. If it is nil, the source opens objects but seals none.
	Enrolment *Enrolment
}

// An Enrolment records which root the keyring had when it was enrolled. It is not secret.
type Enrolment struct {
	Fingerprint string `json:"fingerprint"` // [kek.Local.Fingerprint] of the root
}

var (
	names  = text.NewRegexp(`^[A-Za-z0-9._-]{1,64}$`)
	prints = text.NewRegexp(`^[0-9a-f]{16}$`)
)

// Check returns an error that wraps [envelope.ErrInvalid] if e cannot be the result of [Enrol].
func (e *Enrolment) Check() error {
	if !prints.MatchString(e.Fingerprint) {
		return fmt.Errorf("%w: the enrolment has no fingerprint of 16 hexadecimal digits", envelope.ErrInvalid)
	}
	return nil
}

func (c Config) check() error {
	if !names.MatchString(c.Name) {
		return fmt.Errorf("%w: the name of a root in the keyring has 1 to 64 letters, digits, '.', '_' or '-'", envelope.ErrInvalid)
	}
	if c.Enrolment != nil {
		return c.Enrolment.Check()
	}
	return nil
}

// A Source is a key source whose root is in the keyring. It reads the root at the first use.
type Source struct {
	*kek.Deferred
	enrolment *Enrolment
}

// New returns the source that c describes. It does no I/O. If c is invalid, the error wraps
// [envelope.ErrInvalid].
func New(c Config) (*Source, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	load := func(ctx context.Context) (kek.Root, error) { return Root(ctx, c.Name) }
	return &Source{kek.Defer("keyring "+c.Name, load), c.Enrolment}, nil
}

// Wrap implements [envelope.KeySource]. Without an enrolment the error wraps [envelope.ErrNotEnrolled].
// If the keyring has another root than at the enrolment, the error wraps [envelope.ErrChanged].
func (s *Source) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if s.enrolment == nil {
		return envelope.Stanza{}, envelope.ErrNotEnrolled
	}
	l, err := s.Local(ctx)
	if err != nil {
		return envelope.Stanza{}, err
	}
	if got := l.Fingerprint(); got != s.enrolment.Fingerprint {
		return envelope.Stanza{}, fmt.Errorf("%w: the root in the keyring has the fingerprint %s, not %s", envelope.ErrChanged, got, s.enrolment.Fingerprint)
	}
	return l.Wrap(ctx, ref, dek, aad)
}

// Root reads the root called name, for a backup. If the keyring has no such root, or cannot be
// read, the error wraps [envelope.ErrUnavailable]. If ctx ends while the keyring waits for the
// user, Root returns, but a goroutine continues to wait.
func Root(ctx context.Context, name string) (kek.Root, error) {
	text, err := call(ctx, func() (string, error) { return system.Get(service, name) })
	switch {
	case errors.Is(err, system.ErrNotFound):
		return kek.Root{}, fmt.Errorf("%w: the keyring has no root %s", envelope.ErrUnavailable, name)
	case err != nil:
		return kek.Root{}, err
	}
	root, err := kek.ParseRoot([]byte(text))
	if err != nil {
		return kek.Root{}, fmt.Errorf("the root %s in the keyring: %w", name, err)
	}
	return root, nil
}

// Enrol creates a random root in the keyring. If there is a root called c.Name already, Enrol keeps
// it. Two processes must not call Enrol for one name at once.
func Enrol(ctx context.Context, c Config) (Enrolment, error) {
	return enrol(ctx, c, kek.RandomRoot())
}

// Import stores an existing root in the keyring, for example the root of another machine. If the
// keyring has another root called c.Name already, Import changes nothing, and the error wraps
// [envelope.ErrChanged].
func Import(ctx context.Context, c Config, root kek.Root) (Enrolment, error) {
	e, err := enrol(ctx, c, root)
	if want := kek.NewLocal(root).Fingerprint(); err == nil && e.Fingerprint != want {
		return Enrolment{}, fmt.Errorf("%w: the keyring has another root %s, with the fingerprint %s", envelope.ErrChanged, c.Name, e.Fingerprint)
	}
	return e, err
}

func enrol(ctx context.Context, c Config, root kek.Root) (Enrolment, error) {
	if err := c.check(); err != nil {
		return Enrolment{}, err
	}
	_, err := call(ctx, func() (string, error) { return system.Get(service, c.Name) })
	if errors.Is(err, system.ErrNotFound) {
		secret := root.Reveal()
		defer clear(secret)
		_, err = call(ctx, func() (string, error) { return "", system.Set(service, c.Name, hex.EncodeToString(secret)) })
	}
	if err != nil {
		return Enrolment{}, err
	}
	stored, err := Root(ctx, c.Name) // proves that the keyring returns what it has stored
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{kek.NewLocal(stored).Fingerprint()}, nil
}

// call runs a function of the keyring library, which takes no context. Its errors, apart from
// ErrNotFound, are failures of the service: there is none, or it is locked.
func call(ctx context.Context, f func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := f()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w: %w", envelope.ErrUnavailable, ErrNone, ctx.Err())
	case r := <-done:
		if r.err != nil && !errors.Is(r.err, system.ErrNotFound) {
			r.err = fmt.Errorf("%w: %w: %w", envelope.ErrUnavailable, ErrNone, r.err)
		}
		return r.text, r.err
	}
}
