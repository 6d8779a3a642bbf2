package vault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Tenant is an operator whose objects the cloud keeps apart from everybody
// else's: a wallet address, or any other id of 1–128 bytes [a-z0-9._-] that starts
// with a letter or digit and does not hold "__0x".
type Tenant string

// DefaultTenant is the tenant where none was given.
const DefaultTenant Tenant = "default"

// ParseTenant folds A–Z to a–z, nothing else, and checks the result. Empty is
// [DefaultTenant]. What is refused wraps [ErrInvalidName].
func ParseTenant(s string) (Tenant, error) {
	if s == "" {
		return DefaultTenant, nil
	}
	folded := []byte(s)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	if !isLabel(string(folded), 128, "._-") {
		return "", fmt.Errorf("%w: tenant %q is not 1–128 of a-z 0-9 . _ - starting with a letter or digit", ErrInvalidName, s)
	}
	// gocloud's drivers write what a cloud cannot hold as __0xHEX__, and would list the
	// keys of such a tenant as those of another one.
	if strings.Contains(string(folded), "__0x") {
		return "", fmt.Errorf("%w: tenant %q holds __0x, which object stores take for an escape", ErrInvalidName, s)
	}
	return Tenant(folded), nil
}

// A Collection groups the objects of a tenant: 1–63 bytes [a-z0-9-] that start with
// a letter or digit.
type Collection string

// DefaultCollection is the collection where none was given.
const DefaultCollection Collection = "credentials"

// ParseCollection checks s. Empty is [DefaultCollection]. What is refused wraps
// [ErrInvalidName].
func ParseCollection(s string) (Collection, error) {
	if s == "" {
		return DefaultCollection, nil
	}
	if !isLabel(s, 63, "-") {
		return "", fmt.Errorf("%w: collection %q is not 1–63 of a-z 0-9 - starting with a letter or digit", ErrInvalidName, s)
	}
	return Collection(s), nil
}

// ParseVaultID checks a vault id: empty, or 1–64 bytes [a-z0-9._-] that start with a
// letter or digit. What is refused wraps [ErrInvalidName].
func ParseVaultID(s string) (string, error) {
	if s != "" && !isLabel(s, 64, "._-") {
		return "", fmt.Errorf("%w: vault id %q is not 1–64 of a-z 0-9 . _ - starting with a letter or digit", ErrInvalidName, s)
	}
	return s, nil
}

func isLabel(s string, most int, also string) bool {
	if s == "" || len(s) > most || strings.IndexByte(also, s[0]) >= 0 {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(also, c) >= 0) {
			return false
		}
	}
	return true
}

// A Name is what an object is called inside its collection, such as "openrouter" or
// "acme/openai": 1–512 bytes of UTF-8 in NFC, in segments split by '/'. Make one
// with [ParseName]; a [Vault] checks what it is given all the same.
type Name string

// ParseName checks s and changes nothing. It refuses with [ErrInvalidName]: empty
// segments, "." and "..", control characters, line and paragraph separators,
// bidirectional controls, noncharacters, text that is not in NFC, and names that are
// too long once they are encoded into an object key. [ParseNewName] is for a name that
// something is to be stored under.
func ParseName(s string) (Name, error) {
	bad := func(why string) (Name, error) {
		return "", fmt.Errorf("%w: %q %s", ErrInvalidName, s, why)
	}
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrInvalidName)
	case len(s) > maxName:
		return "", fmt.Errorf("%w: %q… is %d bytes long, the most is %d", ErrInvalidName, strings.ToValidUTF8(s[:32], ""), len(s), maxName)
	case !utf8.ValidString(s):
		return bad("is not UTF-8")
	case !norm.NFC.IsNormalString(s):
		return bad("is not in Unicode normal form C")
	}
	for _, r := range s {
		if unicode.Is(unicode.Cc, r) || unwanted(r) {
			return bad(fmt.Sprintf("holds the character %U", r))
		}
	}
	for segment := range strings.SplitSeq(s, "/") {
		switch segment {
		case "":
			return bad("has an empty segment")
		case ".", "..":
			return bad("has a segment that is " + segment)
		}
	}
	key := encodeName(Name(s))
	for segment := range strings.SplitSeq(key, "/") {
		if len(segment) > maxSegment {
			return bad(fmt.Sprintf("has a segment of more than %d bytes once it is encoded", maxSegment))
		}
	}
	return Name(s), nil
}

// unwanted tells characters that make two names look alike, or a terminal show
// something else: separators, bidirectional controls, noncharacters.
func unwanted(r rune) bool {
	return r == 0x2028 || r == 0x2029 ||
		r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069 ||
		0xFDD0 <= r && r <= 0xFDEF || r&0xFFFE == 0xFFFE
}

const (
	maxName    = 512 // bytes, before encoding
	maxSegment = 255 // bytes of an encoded segment: the limit of file systems
	maxKey     = 850 // bytes of an object key: the limit of Tencent COS
	suffix     = ".enc"
)

// keyPrefix is where the objects of a collection are. No other place in this
// package puts an object key together.
func keyPrefix(t Tenant, c Collection) string { return tenantPrefix(t) + string(c) + "/" }

func tenantPrefix(t Tenant) string { return "bots/" + string(t) + "/" }

// objectKey is the key of n, which [ParseName] has accepted.
func objectKey(t Tenant, c Collection, n Name) (string, error) {
	key := keyPrefix(t, c) + encodeName(n)
	if len(key) > maxKey {
		return "", fmt.Errorf("%w: %q makes an object key of %d bytes, the most is %d", ErrInvalidName, n, len(key), maxKey)
	}
	return key, nil
}

// nameOf is the inverse of [objectKey]. A key that is not exactly what objectKey
// makes is foreign: somebody else put it there.
func nameOf(t Tenant, c Collection, key string) (Name, bool) {
	encoded, ok := strings.CutPrefix(key, keyPrefix(t, c))
	if !ok {
		return "", false
	}
	stem, ok := strings.CutSuffix(encoded, suffix)
	if !ok {
		return "", false
	}
	decoded, ok := percentDecode(stem)
	if !ok {
		return "", false
	}
	n, err := ParseName(decoded)
	if err != nil || encodeName(n) != encoded || len(key) > maxKey {
		return "", false
	}
	return n, true
}

const hexDigits = "0123456789ABCDEF"

// encodeName writes n as the last part of an object key. Besides what is not
// A-Za-z0-9-_.~@= it encodes two things that would change meaning: an underscore
// after an underscore (gocloud.dev reads __0x2f__ as an escape), and the dot of a
// directory segment ending in ".enc" (so that no key is a directory of another).
func encodeName(n Name) string {
	var b strings.Builder
	b.Grow(len(n) + len(suffix))
	var before byte
	for i := range len(n) {
		c := n[i]
		switch {
		case c == '_' && before == '_',
			c == '.' && strings.HasPrefix(string(n[i:]), suffix+"/"),
			!literal(c) && c != '/':
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		default:
			b.WriteByte(c)
		}
		before = c
	}
	b.WriteString(suffix)
	return b.String()
}

func literal(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~@=", c) >= 0
}

func percentDecode(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), true
}

// listPrefix is the longest key prefix that every name starting with prefix has.
// The end of prefix may be the start of a directory segment's ".enc", whose dot is
// encoded or not depending on what follows, so it stops before that dot.
func listPrefix(t Tenant, c Collection, prefix string) string {
	segment := prefix[strings.LastIndexByte(prefix, '/')+1:]
	if dot := strings.LastIndexByte(segment, '.'); dot >= 0 && strings.HasPrefix(suffix, segment[dot:]) {
		prefix = prefix[:len(prefix)-len(segment)+dot]
	}
	return keyPrefix(t, c) + strings.TrimSuffix(encodeName(Name(prefix)), suffix)
}
