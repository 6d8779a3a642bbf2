package vault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Tenant owns objects. The cloud isolates them from the objects of other tenants. A Tenant is a
// wallet address, or another id of 1–128 bytes [a-z0-9._-] that starts with a letter or digit and
// does not contain "__0x".
type Tenant string

// DefaultTenant is used if no tenant is given.
const DefaultTenant Tenant = "default"

// ParseTenant converts A–Z to a–z, and returns the result if it is a valid tenant. For the empty
// string it returns [DefaultTenant]. If the tenant is invalid, the error wraps [ErrInvalidName].
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
	// gocloud's drivers escape characters that a cloud does not accept as __0xHEX__. They would
	// list the keys of such a tenant as those of another one.
	if strings.Contains(string(folded), "__0x") {
		return "", fmt.Errorf("%w: tenant %q contains __0x, which object stores read as an escape", ErrInvalidName, s)
	}
	return Tenant(folded), nil
}

// A Collection groups the objects of a tenant: 1–63 bytes [a-z0-9-] that start with
// a letter or digit.
type Collection string

// DefaultCollection is used if no collection is given.
const DefaultCollection Collection = "credentials"

// ParseCollection returns s if it is a valid collection. For the empty string it returns
// [DefaultCollection]. If the collection is invalid, the error wraps [ErrInvalidName].
func ParseCollection(s string) (Collection, error) {
	if s == "" {
		return DefaultCollection, nil
	}
	if !isLabel(s, 63, "-") {
		return "", fmt.Errorf("%w: collection %q is not 1–63 of a-z 0-9 - starting with a letter or digit", ErrInvalidName, s)
	}
	return Collection(s), nil
}

// ParseVaultID returns s if it is a valid vault id: empty, or 1–64 bytes [a-z0-9._-] that start
// with a letter or digit. If the id is invalid, the error wraps [ErrInvalidName].
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

// A Name identifies an object in its collection, such as "openrouter" or "acme/openai". It has
// 1–512 bytes of UTF-8 in NFC, with '/' between segments. [ParseName] returns a valid Name; a
// [Vault] checks every name that is passed to it.
type Name string

// ParseName returns s unchanged if it is a valid name. It rejects empty segments, "." and "..",
// control characters, line and paragraph separators, bidirectional controls, noncharacters, text
// that is not in NFC, and names whose encoding is too long for an object key. The error then wraps
// [ErrInvalidName]. Use [ParseNewName] for the name of an object that will be stored.
func ParseName(s string) (Name, error) {
	bad := func(problem string) (Name, error) {
		return "", fmt.Errorf("%w: %q %s", ErrInvalidName, s, problem)
	}
	switch {
	case s == "":
		return "", fmt.Errorf("%w: it is empty", ErrInvalidName)
	case len(s) > maxName:
		return "", fmt.Errorf("%w: %q… has %d bytes; the maximum is %d", ErrInvalidName, strings.ToValidUTF8(s[:32], ""), len(s), maxName)
	case !utf8.ValidString(s):
		return bad("is not UTF-8")
	case !norm.NFC.IsNormalString(s):
		return bad("is not in Unicode normal form C")
	}
	for _, r := range s {
		if unicode.Is(unicode.Cc, r) || unwanted(r) {
			return bad(fmt.Sprintf("contains the character %U", r))
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

// unwanted reports whether r makes two names look alike or changes how a terminal shows a name:
// separators, bidirectional controls, noncharacters.
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

// keyPrefix is the prefix of the keys of a collection. Object keys are made here only.
func keyPrefix(t Tenant, c Collection) string { return tenantPrefix(t) + string(c) + "/" }

func tenantPrefix(t Tenant) string { return "bots/" + string(t) + "/" }

// objectKey returns the key of n, which [ParseName] has accepted.
func objectKey(t Tenant, c Collection, n Name) (string, error) {
	key := keyPrefix(t, c) + encodeName(n)
	if len(key) > maxKey {
		return "", fmt.Errorf("%w: %q would need an object key of %d bytes; the maximum is %d", ErrInvalidName, n, len(key), maxKey)
	}
	return key, nil
}

// nameOf is the inverse of [objectKey]. It returns false for a key that objectKey does not
// make: another program stored that object.
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

// ParseKey returns the tenant, the collection and the name of the object at key, as in a log of the
// store. ok is false for any other key, and for a prefix of keys. Then the tenant is set if the key
// starts with the prefix of a tenant, and the collection if it also starts with that of a collection.
func ParseKey(key string) (t Tenant, c Collection, n Name, ok bool) {
	rest, found := strings.CutPrefix(key, "bots/")
	label, rest, found2 := strings.Cut(rest, "/")
	if t, err := ParseTenant(label); !found || !found2 || err != nil || string(t) != label {
		return "", "", "", false
	}
	t = Tenant(label)
	if label, _, found = strings.Cut(rest, "/"); !found {
		return t, "", "", false
	}
	if c, err := ParseCollection(label); err != nil || string(c) != label {
		return t, "", "", false
	}
	c = Collection(label)
	n, ok = nameOf(t, c, key)
	return t, c, n, ok
}

const hexDigits = "0123456789ABCDEF"

// encodeName encodes n as the last part of an object key. It escapes all bytes but
// A-Za-z0-9-_.~@= and the slash. It also escapes an underscore after an underscore, because
// gocloud.dev reads __0x2f__ as an escape, and the dot of a directory segment ending in ".enc",
// so that no key is a directory of another.
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

// listPrefix returns the longest prefix of the keys of all names that start with prefix. If
// prefix ends with the start of ".enc", that may be the end of a directory segment, whose dot
// is escaped, or not, so listPrefix stops before that dot.
func listPrefix(t Tenant, c Collection, prefix string) string {
	segment := prefix[strings.LastIndexByte(prefix, '/')+1:]
	if dot := strings.LastIndexByte(segment, '.'); dot >= 0 && strings.HasPrefix(suffix, segment[dot:]) {
		prefix = prefix[:len(prefix)-len(segment)+dot]
	}
	return keyPrefix(t, c) + strings.TrimSuffix(encodeName(Name(prefix)), suffix)
}
