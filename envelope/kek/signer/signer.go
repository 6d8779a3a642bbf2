// Package signer contains a key source whose keys are derived from signatures. A signer is a
// service that holds the key of an Ethereum wallet and signs messages with it (EIP-191
// personal_sign), such as the signer of agentKeys. For each object, the source requests the
// signature of a text that names the object. The 64 bytes of the signature are the root of the
// object's key: see [kek.Local].
//
//	record, err := signer.Enrol(ctx, signer.Config{URL: url, Omni: omni, Token: token}) // once
//	source, err := signer.New(signer.Config{URL: url, Omni: omni, Token: token, Enrolment: &record})
//
// The source promises:
//
//   - A put and a get send one request each. To rewrap an object with one request, set
//     [Config.KeepFor].
//   - It verifies each signature. The signature must be from the address in the response, and from the
//     enrolled address if there is an enrolment. Otherwise the source neither seals nor opens.
//   - It seals nothing until [Enrol] has shown that the signer is deterministic. If a signer returned
//     another signature each time, the objects would be unrecoverable.
//   - It wipes the signature after use. Some copies of the signature cannot be wiped: the strings that
//     package net/http and [kek.Root] use internally.
//
// A signature is a secret key. A party that can make the signer sign the text, now or later, can read
// and forge the object. The text says so to a person who is asked to sign it.
//
// The wire format is that of the agentKeys signer: POST {base}/dev/derive-address and
// {base}/dev/sign-message, with an optional bearer token. Package signertest contains a server for
// tests.
package signer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/loopback"
)

// A Config describes a signer. URL and Omni are required.
type Config struct {
	// URL is the base URL of the signer: https, or http on this machine. It contains no user, query
	// or fragment.
	URL string
	// Omni is the account whose wallet signs: 64 lower-case hex digits.
	Omni string
	// Token returns the bearer token for a request; nil means that the signer requires none. An error
	// of Token counts as [envelope.ErrUnauthenticated] unless it wraps another error of package
	// envelope, or ctx has ended.
	Token func(ctx context.Context) (string, error)
	// Epoch is a number in the signed text. 0 means the epoch of the enrolment, or 1. Another epoch
	// has other keys: a source opens only objects of its own epoch.
	Epoch uint32
	// Enrolment is the record of [Enrol]; nil means that the source only opens objects.
	Enrolment *Enrolment
	// KeepFor is how long a key stays in memory after the signer was asked for it; 0 means until the
	// call is complete. It is meant for batches and long-lived processes.
	KeepFor time.Duration
	// Timeout limits each request; 0 means 30 seconds.
	Timeout time.Duration
	// Transport sends the requests; nil means a new one with the proxy that the environment variables
	// select.
	Transport http.RoundTripper
	// KeyVersionChanged, if not nil, is called at most once, when the signer reports another key
	// version than the enrolled one while its address is the same.
	KeyVersionChanged func(enrolled, current int)
}

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return "signer: " + string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

const errClosed invalid = "the key source is closed"

// base checks c and returns its URL.
func (c Config) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, invalid("the address is not a URL") // err contains the URL, which may contain a password
	case u.User != nil:
		return nil, invalid("the URL must not contain a user or password")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, invalid("the URL contains no host")
	case strings.ContainsAny(c.URL, "?#"):
		return nil, invalid("the URL must not contain a query or fragment")
	case u.Scheme == "http" && !loopback.Host(u.Hostname()):
		return nil, invalid("http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid("the URL is not an https URL")
	case len(c.Omni) != 64 || strings.Trim(c.Omni, "0123456789abcdef") != "":
		return nil, invalid("the omni account is not 64 lower-case hex digits")
	case c.KeepFor < 0 || c.Timeout < 0:
		return nil, invalid("a duration is negative")
	}
	return u, nil
}

func (c Config) epoch() uint32 {
	switch {
	case c.Epoch != 0:
		return c.Epoch
	case c.Enrolment != nil:
		return c.Enrolment.Epoch
	}
	return 1
}

// A Source is the key source of one omni account. It is safe for concurrent use. [New] returns it;
// the methods of the zero Source return [envelope.ErrInvalid].
type Source struct {
	config  Config
	client  *client
	keys    *keys
	name    string
	version sync.Once // for KeyVersionChanged
}

var (
	_ envelope.KeySource  = (*Source)(nil)
	_ envelope.Recognizer = (*Source)(nil)
)

// New returns the key source for c. It sends no request. If c is invalid, the error wraps
// [envelope.ErrInvalid]. The caller closes the source.
func New(c Config) (*Source, error) {
	u, err := c.base()
	if err != nil {
		return nil, err
	}
	if c.Enrolment != nil {
		if err := c.Enrolment.Check(); err != nil {
			return nil, err
		}
		record := *c.Enrolment
		c.Enrolment = &record
	}
	return &Source{config: c, client: newClient(c, u), keys: newKeys(c.KeepFor), name: "signer " + u.Scheme + "://" + u.Host}, nil
}

// Name implements [envelope.KeySource]. It returns "signer" and scheme and host of the URL.
func (s *Source) Name() string { return s.name }

// Remote implements [envelope.Recognizer]. It returns true.
func (*Source) Remote() bool { return true }

// Close wipes the keys in memory and closes idle connections. Every later call of another method
// returns [envelope.ErrInvalid].
func (s *Source) Close() error {
	if s.client != nil {
		s.keys.close()
		s.client.close()
	}
	return nil
}

// Wrap implements [envelope.KeySource]. It sends one request. Without an enrolment for the epoch it
// sends none, and the error wraps [envelope.ErrNotEnrolled]. If the signature is not from the enrolled
// address, the error wraps [envelope.ErrChanged].
func (s *Source) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if err := s.ready(); err != nil {
		return envelope.Stanza{}, err
	}
	switch record := s.config.Enrolment; {
	case record == nil:
		return envelope.Stanza{}, envelope.ErrNotEnrolled
	case record.Epoch != s.config.epoch():
		return envelope.Stanza{}, fmt.Errorf("%w: it is enrolled for epoch %d, not %d", envelope.ErrNotEnrolled, record.Epoch, s.config.epoch())
	case !signable(ref) || aad.Ctx != ref.Context():
		return envelope.Stanza{}, invalid("the name is not valid UTF-8, contains a control character, or does not match its hash")
	}
	local, err := s.local(ctx, ref, 0)
	if err != nil {
		return envelope.Stanza{}, err
	}
	return local.Wrap(ctx, ref, dek, aad)
}

// Recognizes implements [envelope.Recognizer]. It sends one request for the first stanza of type 1,
// and keeps the key for the other stanzas of the object and for Unwrap: until Unwrap returns or ctx
// ends, but at most for a minute. With [Config.KeepFor], the key stays for that time. If the signature is not from the enrolled
// address, the error wraps [envelope.ErrChanged] and [envelope.ErrUnavailable], so that
// [envelope.Open] tries the other sources.
func (s *Source) Recognizes(ctx context.Context, ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) (bool, error) {
	if err := s.ready(); err != nil {
		return false, err
	}
	if !possible(ref, st, aad) {
		return false, nil
	}
	local, err := s.local(ctx, ref, 1)
	if err != nil {
		return false, whileReading(err)
	}
	recognized, err := local.Recognizes(ctx, ref, st, aad)
	if !recognized {
		s.keys.release(aad.Ctx, false) // the object may have other stanzas
	}
	return recognized, err
}

// Unwrap implements [envelope.KeySource]. It sends one request, or none after Recognizes. The errors
// are those of Recognizes.
func (s *Source) Unwrap(ctx context.Context, ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) ([]byte, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if !possible(ref, st, aad) {
		return nil, envelope.ErrUnknownKey
	}
	defer s.keys.release(aad.Ctx, true)
	local, err := s.local(ctx, ref, 0)
	if err != nil {
		return nil, whileReading(err)
	}
	return local.Unwrap(ctx, ref, st, aad)
}

const (
	typeRoot = 1
	bodySize = 12 + 32 + 16
)

// possible reports whether Wrap can have made st for ref.
func possible(ref envelope.Ref, st envelope.Stanza, aad envelope.AAD) bool {
	return st.Type == typeRoot && len(st.Body) == bodySize && signable(ref) && aad.Ctx == ref.Context()
}

// whileReading lets Open try the other sources of an object whose signer has changed.
func whileReading(err error) error {
	if errors.Is(err, envelope.ErrChanged) {
		return fmt.Errorf("%w: %w", envelope.ErrUnavailable, err)
	}
	return err
}

func (s *Source) ready() error {
	if s.client == nil {
		return invalid("the Source was not returned by New")
	}
	if s.keys.isClosed() {
		return errClosed
	}
	return nil
}

// local returns the key source with the root of ref. It asks the signer if the root is not in memory.
// With a claim, the root stays there until the claim is released.
func (s *Source) local(ctx context.Context, ref envelope.Ref, claims int) (*kek.Local, error) {
	id := ref.Context()
	secret := s.keys.get(id, claims)
	if secret == nil {
		sig, err := s.request(ctx, text(ref, s.config.epoch()))
		if err != nil {
			return nil, err
		}
		clear(sig.signature)
		secret = sig.secret
		if claims > 0 || s.config.KeepFor > 0 {
			s.keys.put(ctx, id, secret, claims)
		}
	}
	defer clear(secret)
	root, err := kek.NewRoot(secret)
	if err != nil {
		return nil, err
	}
	return kek.NewLocal(root), nil
}

// request asks the signer for the signature of message, and verifies it.
func (s *Source) request(ctx context.Context, message string) (signed, error) {
	token, err := s.client.token(ctx)
	if err != nil {
		return signed{}, err
	}
	sig, err := s.client.sign(ctx, token, message)
	if err != nil {
		return signed{}, err
	}
	record := s.config.Enrolment
	if sig.signer != sig.Address || record != nil && sig.Address != record.Address {
		sig.wipe()
		return signed{}, s.explain(ctx, token, sig)
	}
	if record != nil && sig.KeyVersion != record.KeyVersion && s.config.KeyVersionChanged != nil {
		s.version.Do(func() { s.config.KeyVersionChanged(record.KeyVersion, sig.KeyVersion) })
	}
	return sig, nil
}

// explain returns the error for a signature that is not from the expected address. It asks the signer
// once more for its address, because either the wallet or only this response may be another one.
func (s *Source) explain(ctx context.Context, token string, sig signed) error {
	record := s.config.Enrolment
	if record == nil {
		return errNotVerified
	}
	current, err := s.client.derive(ctx, token)
	switch {
	case err != nil:
		return fmt.Errorf("%w: the signature is from %s, the response names %s, and %s is enrolled; the signer did not confirm its address: %v",
			envelope.ErrChanged, sig.signer, sig.Address, record.Address, err)
	case current.Address != record.Address && current.KeyVersion != record.KeyVersion:
		return fmt.Errorf("%w: the address is %s instead of %s, and the key version is %d instead of %d, so the signer's master secret has changed",
			envelope.ErrChanged, current.Address, record.Address, current.KeyVersion, record.KeyVersion)
	case current.Address != record.Address:
		return fmt.Errorf("%w: the address is %s instead of %s", envelope.ErrChanged, current.Address, record.Address)
	}
	return fmt.Errorf("%w: the signer's address is still %s, but the signature is from %s and its response names %s",
		envelope.ErrChanged, record.Address, sig.signer, sig.Address)
}
