package aws_test

import (
	"testing"
)

// Where a server is known not to do what AWS documents, by clause of the contract. Each
// entry is asserted to hold still, and holds for the version named.
const (
	knownRGW     = "16.2.15"
	knownVersity = "1.8.0"
)

var (
	versityVersioned = map[string]string{
		"create-after-delete": "If-None-Match takes a marker of deletion for an object (AWS: 200)",
		"swap":                "If-Match takes the version below a marker of deletion for the object (AWS: 404)",
		"history":             "markers of deletion are listed apart from the versions, whose times are in whole seconds",
	}
	rgwPlain = map[string]string{
		"create-large": "CompleteMultipartUpload ignores If-None-Match",
		"swap":         "PutObject wants the ETag of If-Match without its quotes, and refuses it with them",
		"swap-atomic":  "as for swap",
		"swap-large":   "as for swap; CompleteMultipartUpload ignores If-Match",
	}
	rgwVersioned = map[string]string{
		"create-after-delete": "as for create",
		"names":               "as for create: a second create of a name succeeds",
		"create":              "PutObject ignores If-None-Match in a bucket with versioning",
		"create-large":        "CompleteMultipartUpload ignores If-None-Match",
		"create-detects":      "as for create",
		"create-atomic":       "as for create",
		"errors":              "as for create: a create on a taken key succeeds",
		"swap":                "PutObject wants the ETag of If-Match without its quotes, and refuses it with them",
		"swap-atomic":         "as for swap",
		"swap-large":          "as for swap; CompleteMultipartUpload ignores If-Match",
	}
)

// known says when a server is of another version than the one that was looked at.
func known(t *testing.T, server, is, want string) {
	t.Helper()
	if is != want {
		t.Logf("this is %s %s, and the deviations are those of %s", server, is, want)
	}
}

// deviating takes the deviations out of the claims.
func deviating(claims []string, deviations map[string]string) []string {
	var not []string
	for c := range deviations {
		not = append(not, c)
	}
	return without(claims, not...)
}
