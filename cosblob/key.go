package cosblob

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"gocloud.dev/gcerrors"
)

// maxKey is in bytes (436/13324). Whether the service counts them before or after
// percent-encoding is not documented.
const maxKey = 850

// escapeKey returns the name under which COS has a key, or why it cannot have it.
func escapeKey(key string) (string, error) {
	last := key[strings.LastIndexByte(key, '/')+1:]
	name := escapePrefix(key)
	switch {
	case key == "":
		return "", fmt.Errorf("cosblob: %w: a key cannot be empty", gcerrors.ErrInvalidArgument)
	case key[0] == '/', key[0] == '\\':
		return "", fmt.Errorf("cosblob: %w: COS has no keys that begin with %q", gcerrors.ErrInvalidArgument, key[:1])
	case last == "." || last == "..":
		return "", fmt.Errorf("cosblob: %w: COS has no keys that end with the path element %q", gcerrors.ErrInvalidArgument, last)
	case len(name) > maxKey:
		return "", fmt.Errorf("cosblob: %w: the key has %d bytes, COS takes %d", gcerrors.ErrInvalidArgument, len(name), maxKey)
	}
	return name, nil
}

// escapePrefix escapes each character by what precedes it alone, so that the prefix of
// a key is escaped to the prefix of its name.
func escapePrefix(key string) string {
	var name strings.Builder
	for i := range len(key) {
		c, before := key[i], key[:i]
		element := before[strings.LastIndexByte(before, '/')+1:]
		switch {
		case c < ' ', c == 0x7f,
			c == '/' && (element == "." || element == ".."), // COS might resolve them, as it does with URLs
			c == 'x' && strings.HasSuffix(before, "__0"):
			fmt.Fprintf(&name, "__0x%x__", c)
		default:
			name.WriteByte(c)
		}
	}
	return name.String()
}

// unescapeKey reverses escapePrefix. A name that it cannot have made, others have: it is
// returned as it is.
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
