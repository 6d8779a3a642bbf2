// Package agentkeys opens and seals the objects of agentKeys, the program that objectvault replaces.
// A program that moves from agentKeys to package vault needs it until all of its objects are
// envelopes.
//
// agentKeys encrypts a credential with AES-256-GCM. The key is derived from a signature of the
// operator's wallet, so the package needs a [Signer], such as the Source of package signer:
//
//	account, err := agentkeys.NewAccount(wallet, "")
//	kek, err := agentkeys.DeriveKEK(ctx, signer, account, "openrouter")
//	value, format, err := agentkeys.Open(kek, account, "openrouter", object)
//
// There are three formats. All of them have the body version(1) ‖ nonce(12) ‖ ciphertext ‖ tag(16):
//
//	format   key in the bucket                         version  authenticated with the body
//	v1       bots/WALLET/credentials/SERVICE.enc       1        agentkeys.cred.aad.v1|WALLET|SERVICE
//	v2       bots/OMNI/credentials/SERVICE.enc         2        agentkeys.cred.aad.v2|OMNI|SERVICE
//	worker   bots/OMNI/credentials/SERVICE.enc         2        SHA-256(operator omni ‖ OMNI ‖ lower(SERVICE) ‖ epoch)
//
// WALLET is the address of the wallet: 0x and 40 lower-case hexadecimal digits. OMNI is the account,
// 64 lower-case hexadecimal digits. Both are also tenants of a vault. The key-encryption key (KEK) of
// all formats is the same: see [DeriveKEK].
//
// The formats are weaker than an envelope: they do not authenticate a revision, so an older object
// that the store returns is not detected, and they do not bind a label or an expiry.
package agentkeys

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/objectvault/objectvault/envelope"
)

// A Format is a format of agentKeys.
type Format int

const (
	V1     Format = 1 + iota // under the prefix of the wallet
	V2                       // under the prefix of the omni account
	Worker                   // like V2, sealed by the worker service of agentKeys
)

// String returns "v1", "v2" or "worker".
func (f Format) String() string {
	switch f {
	case V1:
		return "v1"
	case V2:
		return "v2"
	case Worker:
		return "worker"
	}
	return fmt.Sprintf("Format(%d)", int(f))
}

// version returns the first byte of an object.
func (f Format) version() byte {
	if f == V1 {
		return 1
	}
	return 2
}

// MaxValue is the maximum size of a value in bytes. agentKeys stores credentials, not files.
const MaxValue = 1 << 20

const (
	nonceSize = 12
	tagSize   = 16
	minObject = 1 + nonceSize + tagSize
)

// MaxObject is the maximum size of an object in bytes.
const MaxObject = minObject + MaxValue

// An Account is an operator of agentKeys. [NewAccount] returns it.
type Account struct {
	Wallet string // 0x and 40 lower-case hexadecimal digits
	Omni   string // 64 lower-case hexadecimal digits
	// Operator is the omni account of the operator in the format Worker. Empty means Omni.
	Operator string
	// Epochs is the number of epochs that Open tries for the format Worker, from 0. An object does not
	// contain its epoch. 0 means 16.
	Epochs uint64
}

// NewAccount returns the account of a wallet. omni is its omni account. If omni is empty, NewAccount
// computes it from the wallet, as agentKeys does for an account whose wallet was never replaced. The
// error wraps [envelope.ErrInvalid] if wallet or omni is malformed.
func NewAccount(wallet, omni string) (Account, error) {
	wallet, omni = strings.ToLower(wallet), strings.ToLower(omni)
	if !IsWallet(wallet) {
		return Account{}, invalid("the wallet is not an address: 0x and 40 hexadecimal digits")
	}
	if omni == "" {
		omni = OmniOf(wallet)
	}
	if !IsOmni(omni) {
		return Account{}, invalid("the omni account is not 64 hexadecimal digits")
	}
	return Account{Wallet: wallet, Omni: omni}, nil
}

// OmniOf returns the omni account of a wallet that was never replaced: the SHA-256 of "agentkeys",
// "evm" and the address in lower case.
func OmniOf(wallet string) string {
	sum := sha256.Sum256([]byte("agentkeys" + "evm" + strings.ToLower(wallet)))
	return hex.EncodeToString(sum[:])
}

// IsWallet reports whether s is an address in lower case.
func IsWallet(s string) bool {
	digits, ok := strings.CutPrefix(s, "0x")
	return ok && isHex(digits, 40)
}

// IsOmni reports whether s is an omni account in lower case.
func IsOmni(s string) bool { return isHex(s, 64) }

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

// Prefixes returns the prefixes of the keys of all objects of the account, in the order in which
// agentKeys reads: that of the omni account, then that of the wallet.
func (a Account) Prefixes() []string {
	return []string{"bots/" + a.Omni + "/credentials/", "bots/" + a.Wallet + "/credentials/"}
}

// Keys returns the keys at which an object of the service may be stored, in the order in which
// agentKeys reads. The error wraps [envelope.ErrInvalid] if the service cannot be part of a key.
func (a Account) Keys(service string) ([]string, error) {
	if err := checkService(service); err != nil {
		return nil, err
	}
	keys := a.Prefixes()
	for i := range keys {
		keys[i] += service + suffix
	}
	return keys, nil
}

// Key returns the key of an object of the service in a format.
func (a Account) Key(f Format, service string) (string, error) {
	keys, err := a.Keys(service)
	if err != nil {
		return "", err
	}
	if f == V1 {
		return keys[1], nil
	}
	return keys[0], nil
}

const suffix = ".enc"

// ServiceOf returns the service of a key that begins with one of the [Account.Prefixes].
func (a Account) ServiceOf(key string) (service string, ok bool) {
	for _, prefix := range a.Prefixes() {
		if rest, found := strings.CutPrefix(key, prefix); found {
			service, ok = strings.CutSuffix(rest, suffix)
			return service, ok && checkService(service) == nil
		}
	}
	return "", false
}

// checkService returns an error if service cannot be a part of a key. agentKeys lists only the keys
// without further slashes.
func checkService(service string) error {
	if service == "" || len(service) > 255-len(suffix) || strings.ContainsAny(service, "/\x00") {
		return invalid("the service must have 1 to 251 bytes without a slash")
	}
	return nil
}

// A Signer signs messages with the wallet of the operator. The Source of package signer is one.
type Signer interface {
	// SignMessage returns the signature of message by EIP-191 personal_sign: r ‖ s ‖ v, 65 bytes, with
	// v as 0 or 1. The caller wipes it.
	SignMessage(ctx context.Context, message string) ([]byte, error)
}

// Message returns the message whose signature is the secret of a service's KEK.
func Message(wallet, service string) string {
	return "agentkeys.kek.v1:" + strings.ToLower(wallet) + ":" + service
}

// DeriveKEK asks the signer for the signature of [Message], and returns the KEK of the service: the
// SHA-256 of "agentkeys.kek-derive.v1" and the signature. The caller wipes it. The error is that of the
// signer.
func DeriveKEK(ctx context.Context, s Signer, a Account, service string) ([]byte, error) {
	signature, err := s.SignMessage(ctx, Message(a.Wallet, service))
	if err != nil {
		return nil, err
	}
	defer clear(signature)
	if len(signature) != 65 || signature[64] > 1 {
		return nil, invalid("the signature is not r ‖ s ‖ v with v as 0 or 1")
	}
	h := sha256.New()
	h.Write([]byte("agentkeys.kek-derive.v1"))
	h.Write(signature)
	return h.Sum(nil), nil
}

// Open opens an object of the service. It tries the formats that begin with the object's version. If
// the object is not in a format of agentKeys, the error wraps [envelope.ErrFormat]. If it does not open
// with the KEK, for example because it belongs to another account or service, the error wraps
// [envelope.ErrDecrypt].
func Open(kek []byte, a Account, service string, object []byte) (value []byte, f Format, err error) {
	if !IsObject(object) {
		return nil, 0, fmt.Errorf("%w: not an object of agentKeys", envelope.ErrFormat)
	}
	if len(object) > MaxObject {
		return nil, 0, fmt.Errorf("%w: an object of agentKeys has at most %d bytes", envelope.ErrFormat, MaxObject)
	}
	aead, err := subtle.NewAESGCM(kek)
	if err != nil {
		return nil, 0, invalid("the KEK does not have 32 bytes")
	}
	for _, try := range a.candidates(object[0], service) {
		if value, err := aead.Decrypt(object[1:], try.aad); err == nil {
			return value, try.format, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: the object does not open as that of this wallet and service", envelope.ErrDecrypt)
}

// IsObject reports whether object has the version and the minimum length of an object of agentKeys.
func IsObject(object []byte) bool {
	return len(object) >= minObject && (object[0] == V1.version() || object[0] == V2.version())
}

// A candidate is a format, and what it authenticates with the body.
type candidate struct {
	format Format
	aad    []byte
}

// candidates returns what an object with this version may be.
func (a Account) candidates(version byte, service string) []candidate {
	if version == V1.version() {
		return []candidate{{V1, a.aad(V1, service, 0)}}
	}
	list := []candidate{{V2, a.aad(V2, service, 0)}}
	epochs := a.Epochs
	if epochs == 0 {
		epochs = defaultEpochs
	}
	for epoch := range min(epochs, maxEpochs) {
		list = append(list, candidate{Worker, a.aad(Worker, service, epoch)})
	}
	return list
}

const (
	defaultEpochs = 16
	maxEpochs     = 4096
)

// aad returns what a format authenticates with the body.
func (a Account) aad(f Format, service string, epoch uint64) []byte {
	switch f {
	case V1:
		return []byte("agentkeys.cred.aad.v1|" + a.Wallet + "|" + service)
	case V2:
		return []byte("agentkeys.cred.aad.v2|" + a.Omni + "|" + service)
	}
	operator := a.Operator
	if operator == "" {
		operator = a.Omni
	}
	h := sha256.New()
	h.Write([]byte(operator + a.Omni + strings.ToLower(service)))
	binary.Write(h, binary.BigEndian, epoch)
	return h.Sum(nil)
}

// Seal seals a value as an object of the service, in the format V1 or V2. An agentKeys client that
// reads the bucket opens it. The error wraps [envelope.ErrInvalid] if the format is another one, or
// if the value is longer than [MaxValue].
func Seal(kek []byte, a Account, f Format, service string, value []byte) ([]byte, error) {
	switch {
	case f != V1 && f != V2:
		return nil, invalid("only the formats v1 and v2 can be written")
	case len(value) > MaxValue:
		return nil, invalid(fmt.Sprintf("the value has %d bytes; the maximum is %d", len(value), MaxValue))
	}
	if err := checkService(service); err != nil {
		return nil, err
	}
	aead, err := subtle.NewAESGCM(kek)
	if err != nil {
		return nil, invalid("the KEK does not have 32 bytes")
	}
	sealed, err := aead.Encrypt(value, a.aad(f, service, 0))
	if err != nil {
		return nil, err
	}
	return append([]byte{f.version()}, sealed...), nil
}

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return "agentkeys: " + string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }
