package mask

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// inJSON returns the first character of the inside of a JSON string, as package json decodes it, and its
// length in b. The length is 0 if there is none. more reports whether b may be only the start of the character.
func inJSON(b []byte) (text []byte, n int, more bool) {
	if len(b) == 0 {
		return nil, 0, true
	}
	if b[0] != '\\' {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError { // invalid UTF-8 becomes U+FFFD
			return []byte("\ufffd"), n, !utf8.FullRune(b)
		}
		return b[:n], n, false
	}
	if r, ok := unicodeEscape(b); ok {
		if low, ok := unicodeEscape(b[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(nil, pair), 12, false
			}
		}
		return utf8.AppendRune(nil, r), 6, utf16.IsSurrogate(r) && len(b) < 12 // half a pair becomes U+FFFD
	}
	if len(b) > 1 {
		if i := strings.IndexByte(`"\/bfnrt`, b[1]); i >= 0 {
			return []byte{"\"\\/\b\f\n\r\t"[i]}, 2, false
		}
	}
	return nil, 0, len(b) == 1 || len(b) < 6 && b[1] == 'u'
}

// unicodeEscape returns the code unit of an escape such as \u0041 at the start of b.
func unicodeEscape(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(unit), err == nil
}
