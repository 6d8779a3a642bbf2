package cosblob

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"gocloud.dev/gcerrors"
)

const (
	metaPrefix = "x-cos-meta-"
	// maxMeta limits the total size of names and values (436/7749). A newer page says 4 KB.
	maxMeta = 2048
)

// writeMetadata returns the headers of metadata, whose keys are lower-case.
func writeMetadata(md map[string]string) (*http.Header, error) {
	h, size := http.Header{}, 0
	for k, v := range md {
		name, value := metaPrefix+escapeMeta(k), escapeValue(v)
		h.Set(name, value)
		size += len(name) + len(value)
	}
	if size > maxMeta {
		return nil, fmt.Errorf("cosblob: %w: the escaped metadata has %d bytes, including names, but COS allows at most %d", gcerrors.ErrInvalidArgument, size, maxMeta)
	}
	return &h, nil
}

func readMetadata(h http.Header) map[string]string {
	md := map[string]string{}
	for name := range h {
		if rest, ok := strings.CutPrefix(strings.ToLower(name), metaPrefix); ok {
			md[unescapeMeta(rest)] = unescapeValue(h.Get(name))
		}
	}
	return md
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// escapeMeta writes every byte except a-z and 0-9 as -xx. COS does not allow the underscore, and
// returns names in lower case.
func escapeMeta(k string) string {
	var name strings.Builder
	for i := range len(k) {
		if alphanumeric(k[i]) {
			name.WriteByte(k[i])
		} else {
			fmt.Fprintf(&name, "-%02x", k[i])
		}
	}
	return name.String()
}

// unescapeMeta reverses escapeMeta. It returns a name unchanged if escapeMeta cannot have produced
// it.
func unescapeMeta(name string) string {
	var k strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '-' {
			k.WriteByte(name[i])
			continue
		}
		if len(name)-i < 3 {
			return name
		}
		c, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return name
		}
		k.WriteByte(byte(c))
		i += 2
	}
	if s := k.String(); utf8.ValidString(s) && strings.ToLower(s) == s && escapeMeta(s) == name {
		return s
	}
	return name
}

// escapeValue percent-encodes every character except letters, digits and -._~, because signing
// breaks values that are not ASCII.
func escapeValue(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }

// unescapeValue reverses escapeValue. It returns a value unchanged if escapeValue cannot have
// produced it.
func unescapeValue(v string) string {
	if s, err := url.PathUnescape(v); err == nil && utf8.ValidString(s) && escapeValue(s) == v {
		return s
	}
	return v
}
