package costest

import (
	"fmt"
	"slices"
)

// A Question is something that the documents do not settle. The server plays each of
// its Variants; the first is the default. See [Options.Unsure].
type Question struct {
	Name, About string
	Variants    []string
}

// Questions lists what the documents leave open. A client should pass under every variant.
func Questions() []Question { return slices.Concat(objectQuestions, accessQuestions) }

var objectQuestions = []Question{
	{"put-condition", "If-Match and If-None-Match on PUT, initiate and complete", []string{"ignore", "honour", "not-implemented"}},
	{"multipart-etag", "the formula of a multipart object's ETag", []string{"opaque", "s3"}},
	{"expired-token", "the code of a bad, missing or expired token", []string{"ExpiredToken", "InvalidAccessKeyId", "AccessDenied"}},
	{"metadata-limit", "bytes of all x-cos-meta- headers with their names", []string{"2048", "4096"}},
	{"multi-delete-denied", "a multi-delete of which one key is refused: an error for that key, or 403 for the call", []string{"key", "call"}},
	{"sign-time", "q-sign-time other than q-key-time, and listed names that occur twice", []string{"refuse", "accept"}},
	{"key-length", "whether the 850 bytes of a key are counted before or after percent-encoding", []string{"decoded", "encoded"}},
	{"part-order", "the code for parts with gaps and parts not ascending; documented is InvalidPart for the one, InvalidPartOrder for the other", []string{"documented", "InvalidPart", "InvalidPartOrder"}},
	{"copy-source-missing", "the code for the absent source of a copy", []string{"NoSuchCopySource", "NoSuchKey"}},
	{"policy-missing", "GET ?policy of a bucket without one", []string{"404", "empty"}},
	{"create-commit", "whether forbid-overwrite is checked again when an object is stored, or only when its request began, so that of several at once more than one succeeds (github.com/apache/opendal/pull/7526)", []string{"checked", "unchecked"}},
	{"create-race", "the error of a forbid-overwrite writer that lost a race", []string{"FileAlreadyExists", "PathConflict"}},
	{"version-id", "the characters of a version's id, an opaque string", []string{"base64url", "base64"}},
	{"suffix-range", "Range: bytes=-N", []string{"honour", "ignore"}},
}

// unsure returns the variant in force of a question.
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

// checkUnsure refuses questions and variants that there are not.
func checkUnsure(chosen map[string]string) error {
	for name, variant := range chosen {
		i := slices.IndexFunc(Questions(), func(q Question) bool { return q.Name == name })
		if i < 0 {
			return fmt.Errorf("costest: no question is called %q", name)
		}
		if !slices.Contains(Questions()[i].Variants, variant) {
			return fmt.Errorf("costest: %s has no variant %q", name, variant)
		}
	}
	return nil
}
