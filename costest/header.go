package costest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const metaPrefix = "X-Cos-Meta-"

// maxMeta is the maximum length of one metadata header.
const maxMeta = 2 << 10

// plainHeaders are the headers of a PUT that GET and HEAD return.
var plainHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Expires"}

func invalidArgument(format string, args ...any) error {
	return failure(http.StatusBadRequest, "InvalidArgument", format, args...)
}

// keptHeaders returns the headers of a request that are stored with the object.
func (s *Server) keptHeaders(h http.Header) (http.Header, error) {
	kept := make(http.Header)
	for _, name := range plainHeaders {
		if v := h.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	limit, _ := strconv.Atoi(s.unsure("metadata-limit")) // the limit for all of them together
	total := 0
	for name, values := range h {
		suffix, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(metaPrefix)) {
				return nil, invalidArgument("%s is not a valid name.", name)
			}
			continue
		}
		if suffix == "" || strings.Trim(suffix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" || len(values) > 1 {
			return nil, invalidArgument("%s is not a valid name.", name)
		}
		one := len(name) + len(values[0])
		if total += one; total > limit || one > maxMeta {
			return nil, invalidArgument("Your metadata headers exceed the maximum allowed size.")
		}
		kept[name] = values
	}
	if kept.Get("Content-Type") == "" {
		kept.Set("Content-Type", "application/octet-stream")
	}
	return kept, nil
}

// storageClasses are the storage classes that can be written. The archive classes are not
// implemented.
var storageClasses = []string{"", "STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "MAZ_STANDARD", "MAZ_STANDARD_IA"}

func storageClass(h http.Header) (string, error) {
	class := h.Get("X-Cos-Storage-Class")
	if !slices.Contains(storageClasses, class) {
		return "", failure(http.StatusBadRequest, "NotSupportedStorageClass", "The storage class is not supported.")
	}
	if class == "" {
		class = "STANDARD"
	}
	return class, nil
}

// headerEncryption requests encryption at rest, and is in the response for an encrypted object
// (436/7749).
const headerEncryption = "X-Cos-Server-Side-Encryption"

func (v *version) echoEncryption(h http.Header) {
	if v.encryption != "" {
		h.Set(headerEncryption, v.encryption)
	}
}

// checkEncryption rejects kinds of encryption that change the ETag and the checksums.
func checkEncryption(h http.Header) error {
	for name := range h {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-cos-server-side-encryption-customer") || strings.HasPrefix(name, "x-cos-object-lock") {
			return errNotImplemented
		}
	}
	if v := h.Get("X-Cos-Server-Side-Encryption"); v != "" && v != "AES256" {
		return errNotImplemented
	}
	return nil
}

// checkASCII rejects values that cannot be signed, because the service decodes their bytes
// differently from the client.
func checkASCII(h http.Header) error {
	for name, values := range h {
		for _, v := range values {
			if strings.HasPrefix(name, "X-Cos-") && strings.ContainsFunc(v, func(r rune) bool { return r > 126 || r < 32 && r != '\t' }) {
				return failure(http.StatusForbidden, "SignatureDoesNotMatch", "The Signature you specified is invalid.")
			}
		}
	}
	return nil
}

// putCondition checks If-Match and If-None-Match on a write.
func (x *exchange) putCondition(latest *version) error {
	match, none := x.r.Header.Get("If-Match"), x.r.Header.Get("If-None-Match")
	if match == "" && none == "" {
		return nil
	}
	switch x.s.unsure("put-condition") {
	case "not-implemented":
		return errNotImplemented
	case "honour":
		if latest != nil && latest.marker {
			latest = nil
		}
		if match != "" && (latest == nil || !etagMatches(match, latest.etag)) || none != "" && latest != nil && etagMatches(none, latest.etag) {
			return errPrecondition
		}
	}
	return nil
}
