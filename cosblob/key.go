package cosblob

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"gocloud.dev/gcerrors"
)

// maxKey is the maximum length in bytes (436/13324). The documentation does not say whether it
// applies before or after percent-encoding.
const maxKey = 850

// escapeKey returns the name of a key in COS, or an error if COS does not support the key.
func escapeKey(key string) (string, error) {
	last := key[strings.LastIndexByte(key, '/')+1:]
	name := escapePrefix(key)
	switch {
	case key == "":
		return "", fmt.Errorf("cosblob: %w: a key cannot be empty", gcerrors.ErrInvalidArgument)
	case key[0] == '/', key[0] == '\\':
		return "", fmt.Errorf("cosblob: %w: COS does not support keys that begin with %q", gcerrors.ErrInvalidArgument, key[:1])
	case last == "." || last == "..":
		return "", fmt.Errorf("cosblob: %w: COS does not support keys whose last path element is %q", gcerrors.ErrInvalidArgument, last)
	case len(name) > maxKey:
		return "", fmt.Errorf("cosblob: %w: the escaped key has %d bytes, but COS allows at most %d", gcerrors.ErrInvalidArgument, len(name), maxKey)
	}
	return name, nil
}

// escapePrefix escapes a key or a prefix. The escape of a character depends only on the
// characters before it, so the prefix of a key becomes the prefix of its name.
func escapePrefix(key string) string {
	var name strings.Builder
	for i := range len(key) {
		c, before := key[i], key[:i]
		element := before[strings.LastIndexByte(before, '/')+1:]
		switch {
		case c < ' ', c == 0x7f,
			c == '/' && (element == "." || element == ".."), // COS could resolve it like a relative URL
			c == 'x' && strings.HasSuffix(before, "__0"):
			fmt.Fprintf(&name, "__0x%x__", c)
		default:
			name.WriteByte(c)
		}
	}
	return name.String()
}

// unescapeKey reverses escapePrefix. It returns a name unchanged if escapePrefix cannot have
// produced it. Another program wrote that object.
func unescapeKey(name string) string {
	var key strings.Builder
	for rest := name; rest != ""; {
		before, after, found := strings.Cut(rest, "__0x")
		digits, tail, closed := strings.Cut(after, "__")
		c, err := strconv.ParseUint(digits, 16, 7)
		if !found {
			key.WriteString(rest)
			break
		}
		if !closed || err != nil {
			return name
		}
		key.WriteString(before)
		key.WriteByte(byte(c))
		rest = tail
	}
	if k := key.String(); utf8.ValidString(k) && escapePrefix(k) == name {
		return k
	}
	return name
}
