// Package recovery writes a root key in forms that can be kept offline: as 24 words, or as shares of
// which some, but not all, are needed.
//
//	words, err := recovery.Words(root)
//	shares, err := recovery.Split(root, 2, 3)  // any two of three
//	root, err := recovery.Combine(shares[1:])
//
// The words are those of BIP-39 (https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki):
// the root is the entropy, and the last word contains a checksum. The shares are those of Shamir's
// scheme over the scalar field of P-384, which can represent every root of 32 bytes. Fewer shares
// than the threshold disclose nothing about the root.
//
// The arithmetic of the shares is not constant time, so split and combine roots only offline, where
// no other program can measure it.
package recovery

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
)

// ErrMalformed means that words or a share contain a mistake. The error text says which, and never
// repeats a word or a digit.
var ErrMalformed = errors.New("not the words or the share of a root key")

// ErrTooFew means that there are fewer shares than the threshold.
var ErrTooFew = errors.New("too few shares")

// ErrMixed means that the shares belong to different roots, or that the result is not the root that
// was split.
var ErrMixed = errors.New("the shares do not belong together")

const rootSize = 32

func reveal(root kek.Root) ([]byte, error) {
	secret := root.Reveal()
	if len(secret) != rootSize {
		clear(secret)
		return nil, fmt.Errorf("%w: only a root of %d bytes can be written as words or shares", envelope.ErrInvalid, rootSize)
	}
	return secret, nil
}

// A Share is one share of a root. Its text is a line:
//
//	objectvault-share-1 THRESHOLD NUMBER SET VALUE CHECKSUM
//
// THRESHOLD and NUMBER are decimal. SET is the fingerprint of the root ([kek.Local.Fingerprint]).
// VALUE is the share of Shamir's scheme at the point NUMBER, 96 hexadecimal digits. CHECKSUM is the
// first 8 hexadecimal digits of a SHA-256. Its input is the line up to VALUE, with one blank
// between two parts and no blank at the end.
type Share struct {
	Threshold int // number of shares that are needed
	Number    int // from 1
	// Fingerprint identifies the root. It is not secret.
	Fingerprint string

	value *[valueSize]byte // a pointer: package fmt prints what unexported fields hold
}

const (
	shareWord = "objectvault-share-1"
	valueSize = 48
)

// MaxShares is the largest number of shares of a root.
const MaxShares = 255

// String returns "share 1 of root FINGERPRINT, 2 needed": no secret. Text returns the share.
func (s Share) String() string {
	return fmt.Sprintf("share %d of root %s, %d needed", s.Number, s.Fingerprint, s.Threshold)
}

// Format prints String for every verb.
func (s Share) Format(f fmt.State, _ rune) { f.Write([]byte(s.String())) }

// Text returns the line of the share. A person who has as many shares as the threshold has the root.
func (s Share) Text() string {
	if s.value == nil {
		return ""
	}
	line := fmt.Sprintf("%s %d %d %s %s", shareWord, s.Threshold, s.Number, s.Fingerprint, hex.EncodeToString(s.value[:]))
	return line + " " + checksum(line)
}

func checksum(line string) string {
	sum := sha256.Sum256([]byte(line))
	return hex.EncodeToString(sum[:4])
}

// ParseShare parses the text of a share. The case of the digits, and the space around and between
// the parts, do not matter. If the text was changed, the error wraps [ErrMalformed].
func ParseShare(text string) (Share, error) {
	parts := strings.Fields(strings.ToLower(text))
	if len(parts) != 6 || parts[0] != shareWord {
		return Share{}, fmt.Errorf("%w: a share is a line of six parts that starts with %s", ErrMalformed, shareWord)
	}
	if checksum(strings.Join(parts[:5], " ")) != parts[5] {
		return Share{}, fmt.Errorf("%w: the checksum of the share is wrong: a character was changed or lost", ErrMalformed)
	}
	s := Share{Threshold: number(parts[1]), Number: number(parts[2]), Fingerprint: parts[3], value: new([valueSize]byte)}
	value, err := hex.DecodeString(parts[4])
	print, perr := hex.DecodeString(parts[3])
	if s.Threshold < 2 || s.Number < 1 || err != nil || len(value) != valueSize || perr != nil || len(print) != 8 {
		return Share{}, fmt.Errorf("%w: the share has a part that is out of range", ErrMalformed)
	}
	copy(s.value[:], value)
	return s, nil
}

// number returns a decimal number from 1 to MaxShares, or 0.
func number(text string) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' || n > MaxShares {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	if n > MaxShares || text == "" || text[0] == '0' {
		return 0
	}
	return n
}

// field is the field of the shares.
var field = group.P384

// Split returns n shares of root, of which threshold are needed. Each call generates different
// shares, and shares of different calls cannot be combined. Split requires 2 <= threshold <= n <= 255
// and a root of 32 bytes. Otherwise the error wraps [envelope.ErrInvalid].
func Split(root kek.Root, threshold, n int) ([]Share, error) {
	if threshold < 2 || n < threshold || n > MaxShares {
		return nil, fmt.Errorf("%w: the number of shares must be at most %d, and the threshold at least 2 and at most the number of shares", envelope.ErrInvalid, MaxShares)
	}
	secret, err := reveal(root)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	padded := make([]byte, valueSize)
	defer clear(padded)
	copy(padded[valueSize-rootSize:], secret)
	scalar := field.NewScalar()
	if err := scalar.UnmarshalBinary(padded); err != nil {
		return nil, err
	}
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), scalar)
	fingerprint := kek.NewLocal(root).Fingerprint()
	var shares []Share
	for i := 1; i <= n; i++ {
		share := sharing.ShareWithID(field.NewScalar().SetUint64(uint64(i)))
		value, err := share.Value.MarshalBinary()
		if err != nil {
			return nil, err
		}
		shares = append(shares, Share{threshold, i, fingerprint, (*[valueSize]byte)(value)})
	}
	return shares, nil
}

// Combine returns the root of shares. Two copies of one share count once. If there are too few, the
// error wraps [ErrTooFew]. If they belong to different roots or to different calls of [Split], the
// error wraps [ErrMixed].
func Combine(shares []Share) (kek.Root, error) {
	distinct := make(map[int]Share)
	for _, s := range shares {
		if s.value == nil {
			return kek.Root{}, fmt.Errorf("%w: a share is empty", envelope.ErrInvalid)
		}
		first := shares[0]
		if s.Fingerprint != first.Fingerprint || s.Threshold != first.Threshold {
			return kek.Root{}, fmt.Errorf("%w: they are of the roots %s and %s", ErrMixed, first.Fingerprint, s.Fingerprint)
		}
		if old, ok := distinct[s.Number]; ok && *old.value != *s.value {
			return kek.Root{}, fmt.Errorf("%w: share %d exists twice, with different values", ErrMixed, s.Number)
		}
		distinct[s.Number] = s
	}
	if len(shares) == 0 || len(distinct) < shares[0].Threshold {
		need := 2
		if len(shares) > 0 {
			need = shares[0].Threshold
		}
		return kek.Root{}, fmt.Errorf("%w: %d of the %d that are needed", ErrTooFew, len(distinct), need)
	}
	var points []secretsharing.Share
	for number, s := range distinct {
		value := field.NewScalar()
		if err := value.UnmarshalBinary(s.value[:]); err != nil {
			return kek.Root{}, fmt.Errorf("%w: share %d is out of range", ErrMalformed, number)
		}
		points = append(points, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(number)), Value: value})
	}
	scalar, err := secretsharing.Recover(uint(shares[0].Threshold-1), points)
	if err != nil {
		return kek.Root{}, fmt.Errorf("%w: %w", ErrMixed, err)
	}
	padded, err := scalar.MarshalBinary()
	if err != nil {
		return kek.Root{}, err
	}
	defer clear(padded)
	root, err := kek.NewRoot(padded[valueSize-rootSize:])
	if err != nil {
		return kek.Root{}, err
	}
	if !bytes.Equal(padded[:valueSize-rootSize], make([]byte, valueSize-rootSize)) || kek.NewLocal(root).Fingerprint() != shares[0].Fingerprint {
		return kek.Root{}, fmt.Errorf("%w: the result is not the root %s", ErrMixed, shares[0].Fingerprint)
	}
	return root, nil
}
