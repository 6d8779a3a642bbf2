package costest

import (
	"fmt"
	"slices"
)

// A Question is a behaviour that the documentation does not specify. The server supports each of its
// Variants. The first is the default. See [Options.Unsure].
type Question struct {
	Name, About string
	Variants    []string
}

// Questions returns all questions. A client should work with every variant.
func Questions() []Question { return slices.Concat(objectQuestions, accessQuestions, kmsQuestions) }

var objectQuestions = []Question{
	{"put-condition", "If-Match and If-None-Match on PUT, initiate and complete", []string{"ignore", "honour", "not-implemented"}},
	{"multipart-etag", "the formula of a multipart object's ETag", []string{"opaque", "s3"}},
	{"expired-token", "the error code for an invalid, missing or expired token", []string{"ExpiredToken", "InvalidAccessKeyId", "AccessDenied"}},
	{"expired-signature", "the error code for a signature that is no longer valid; the message is Request has expired. Responses of COS that were published have AccessDenied (github.com/tencentyun/cos-php-sdk-v5/pull/153), and the list of codes has Request has expired (436/7730)", []string{"AccessDenied", "Request has expired", "RequestIsExpired"}},
	{"metadata-limit", "the limit in bytes for all x-cos-meta- headers, including names", []string{"2048", "4096"}},
	{"multi-delete-denied", "the response to a multi-delete if one key is refused: an error for that key, or 403 for the call", []string{"key", "call"}},
	{"sign-time", "whether q-sign-time may differ from q-key-time, and listed names may occur twice", []string{"refuse", "accept"}},
	{"key-length", "whether the limit of 850 bytes for a key applies before or after percent-encoding", []string{"decoded", "encoded"}},
	{"part-order", "the error code for missing parts and for parts in the wrong order; documented are InvalidPart and InvalidPartOrder", []string{"documented", "InvalidPart", "InvalidPartOrder"}},
	{"copy-source-missing", "the error code for a missing source of a copy", []string{"NoSuchCopySource", "NoSuchKey"}},
	{"policy-missing", "the response to GET ?policy of a bucket without a policy", []string{"404", "empty"}},
	{"create-commit", "whether forbid-overwrite is checked again when the object is stored, or only at the start of the request, so that several concurrent creates may succeed (github.com/apache/opendal/pull/7526)", []string{"checked", "unchecked"}},
	{"create-race", "the error of a create that lost against a concurrent create", []string{"FileAlreadyExists", "PathConflict"}},
	{"version-id", "the characters of a version ID", []string{"base64url", "base64"}},
	{"lifecycle-markers", "whether a lifecycle rule with Days or Date also removes delete markers without old versions, as at S3", []string{"keep", "remove"}},
	{"suffix-range", "a range of the form bytes=-N", []string{"honour", "ignore"}},
}

// unsure returns the selected variant of a question.
func (s *Server) unsure(name string) string {
	if v, ok := s.o.Unsure[name]; ok {
		return v
	}
	for _, q := range Questions() {
		if q.Name == name {
			return q.Variants[0]
		}
	}
	panic("costest: no question is called " + name)
}

// checkUnsure rejects unknown questions and variants.
func checkUnsure(chosen map[string]string) error {
	for name, variant := range chosen {
		i := slices.IndexFunc(Questions(), func(q Question) bool { return q.Name == name })
		if i < 0 {
			return fmt.Errorf("costest: unknown question %q", name)
		}
		if !slices.Contains(Questions()[i].Variants, variant) {
			return fmt.Errorf("costest: %s has no variant %q", name, variant)
		}
	}
	return nil
}
