package aws_test

import (
	"maps"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// The known deviations of servers from AWS, by clause of the contract. The tests assert that each
// still exists. Each is known for the named version.
const (
	knownRGW     = "16.2.15"
	knownVersity = "1.8.0"
	knownWeed    = testcloud.WeedVersion
)

var (
	versityVersioned = map[string]string{
		"create-after-delete": "If-None-Match treats a delete marker like an object, and fails (on AWS it succeeds)",
		"swap":                "If-Match compares the version below a delete marker (on AWS it returns 404)",
		"history":             "delete markers are listed separately from versions, whose times are in whole seconds",
	}
	weedPlain     = map[string]string{}
	weedVersioned = map[string]string{
		"splice-atomic": "two of four concurrent writes with the same If-Match, of which some were CompleteMultipartUpload, succeeded once, on a busy machine",
	}
	rgwPlain = map[string]string{
		"create-large":  "CompleteMultipartUpload ignores If-None-Match",
		"swap":          "PutObject accepts the ETag in If-Match only without its quotes",
		"swap-atomic":   "see swap",
		"swap-large":    "see swap; CompleteMultipartUpload also ignores If-Match",
		"splice-atomic": "CompleteMultipartUpload ignores If-Match",
	}
	rgwPlainRole = roleOfRGW(rgwPlain)
	rgwVersioned = roleOfRGW(map[string]string{
		"create-after-delete": "see create",
		"names":               "see create: a second create of a name succeeds",
		"create":              "PutObject ignores If-None-Match in a bucket with versioning",
		"create-large":        "CompleteMultipartUpload ignores If-None-Match",
		"create-detects":      "see create",
		"create-atomic":       "see create",
		"errors":              "see create: a create of an existing key succeeds",
		"swap":                "PutObject accepts the ETag in If-Match only without its quotes",
		"swap-atomic":         "see swap",
		"swap-large":          "see swap; CompleteMultipartUpload also ignores If-Match",
	})
)

// roleOfRGW returns deviations for the credentials of a role.
func roleOfRGW(deviations map[string]string) map[string]string {
	all := maps.Clone(deviations)
	all["splice"] = "UploadPartCopy is denied to every role, so a vault sends a large object through the client"
	all["splice-atomic"] = "see splice"
	return all
}

// known logs a server whose version differs from the examined one.
func known(t *testing.T, server, version, want string) {
	t.Helper()
	if version != want {
		t.Logf("this is %s %s, and the deviations are those of %s", server, version, want)
	}
}

// deviating returns the claims without the deviations.
func deviating(claims []string, deviations map[string]string) []string {
	var not []string
	for c := range deviations {
		not = append(not, c)
	}
	return without(claims, not...)
}

// weedIsolation contains the deviations of SeaweedFS in the isolation matrix.
var weedIsolation = deviations{
	// s3_constants: IsValidObjectKey rejects these keys, because a key is the path of a file.
	unkept: map[string]string{
		"own, dots":            "a segment of dots is refused",
		"dots before":          "a segment of dots is refused",
		"dots to own":          "a segment of dots is refused",
		"other's, dots to own": "a segment of dots is refused",
	},
	// iam/policy: awsIAMMatch ignores case in a resource, while AWS ignores it only in actions. Two
	// tenants whose ids differ only in case are therefore the same. The condition on s3:prefix is
	// case-sensitive, so nothing is listed. DeleteObjectVersion is not granted.
	letIn: map[string][]string{
		"own id, upper case": {
			"PUT", "GET", "HEAD", "GET of a version", "begin", "part", "complete", "list of parts", "abort",
			"copy", "copy of a part", "DELETE", "alone", "first", "with one of its own", "delete",
		},
	},
	// Consecutive slashes are treated as one. A key with two slashes is the key of another object
	// of the actor, and a listing shows it with that name.
	cells: map[string]string{
		"create, own, slash twice: PUT":              "PreconditionFailed",
		"list, own, slash twice: is listed":          other,
		"history, own, slash twice: its own version": other,
	},
}

// weedDocuments contains the errors of SeaweedFS for the printed documents and for the statements
// of the bucket policy. It accepts the role policy unchanged. The statements about the role that it
// accepts deny nothing: s3api/policy_engine has no aws:PrincipalArn and no aws:PrincipalTag, and
// iam/policy has no ArnEquals and no NotResource. Only the role policy isolates tenants.
var weedDocuments = map[string]struct{ code, reason string }{
	// iam/policy: validateStatementWithType. Its trust policies do not support the other conditions
	// of the statement either, which are the audience as HOST:aud and the tag as aws:RequestTag.
	// They support the audience as oidc:aud.
	"trust policy": {"MalformedPolicyDocument", "sts:TagSession is no action of a trust policy"},
	// s3api/policy_engine: validateStatement requires an Action.
	"bucket policy":    {"InvalidPolicyDocument", "for its statement DenyBucketItself"},
	"DenyBucketItself": {"InvalidPolicyDocument", "there is no NotAction"},
}

// weedGrants contains the error codes for requests that no policy grants. In AWS, all are
// AccessDenied.
var weedGrants = map[string]string{
	"GetObjectTagging": "AccessDenied", "PutObjectTagging": "AccessDenied", "DeleteObjectTagging": "AccessDenied",
	"GetObjectAcl": "AccessDenied", "PutObjectAcl": "AccessDenied", "PutObjectRetention": "AccessDenied",
	"DeleteObject of a version":   "AccessDenied",
	"ListObjectsV2 of everything": "AccessDenied", "ListObjectVersions of everything": "AccessDenied", "ListMultipartUploads": "AccessDenied",
	"GetBucketPolicy": "AccessDenied", "DeleteBucketPolicy": "AccessDenied", "PutBucketVersioning": "AccessDenied",
	"DeleteBucketLifecycle": "AccessDenied", "GetBucketLocation": "AccessDenied", "DeleteBucket": "AccessDenied",
}
