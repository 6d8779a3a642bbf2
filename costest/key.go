package costest

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxKey is the maximum length of a key in bytes. In S3 it is 1024.
const maxKey = 850

// checkKey checks a key against the rules (436/13324, 436/14518).
func (s *Server) checkKey(key string) error {
	n := len(key)
	if s.unsure("key-length") == "encoded" {
		n = len(encode(key, "/"))
	}
	if n > maxKey {
		return failure(http.StatusBadRequest, "KeyTooLong", "Your key is too long.")
	}
	if !utf8.ValidString(key) || strings.ContainsAny(key, "\x18\x19\x1a\x1b") || strings.HasPrefix(key, "/") || strings.HasPrefix(key, `\`) {
		return failure(http.StatusBadRequest, "InvalidObjectName", "The specified object name is not valid.")
	}
	return nil
}
