package aws_test

import (
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// Where a server is known not to do what AWS documents, by clause of the contract. Each
// entry is asserted to hold still, and holds for the version named.
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
	weedVersioned = map[string]string{}
	rgwPlain      = map[string]string{
		"create-large": "CompleteMultipartUpload ignores If-None-Match",
		"swap":         "PutObject accepts the ETag in If-Match only without its quotes",
		"swap-atomic":  "see swap",
		"swap-large":   "see swap; CompleteMultipartUpload also ignores If-Match",
	}
	rgwVersioned = map[string]string{
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

// weedIsolation is where the matrix meets SeaweedFS.
var weedIsolation = deviations{
	// s3_constants: IsValidObjectKey refuses them, because a key is the path of a file.
	unkept: map[string]string{
		"own, dots":            "a segment of dots is refused",
		"dots before":          "a segment of dots is refused",
		"dots to own":          "a segment of dots is refused",
		"other's, dots to own": "a segment of dots is refused",
	},
	// iam/policy: awsIAMMatch compares a resource without case, as AWS does actions alone: two
	// tenants whose ids differ in nothing but case are one. The condition on s3:prefix is
	// compared with case, so nothing there is listed, and DeleteObjectVersion is not granted.
	letIn: map[string][]string{
		"own id, upper case": {
			"PUT", "GET", "HEAD", "GET of a version", "begin", "part", "complete", "list of parts", "abort",
			"copy", "copy of a part", "DELETE", "alone", "first", "with one of its own", "delete",
		},
	},
	// Slashes that follow each other are one: a key with two is that of another object of the
	// actor's own, and is listed under the name of that.
	cells: map[string]string{
		"create, own, slash twice: PUT":              "PreconditionFailed",
		"list, own, slash twice: is listed":          other,
		"history, own, slash twice: its own version": other,
	},
}

// weedDocuments is what SeaweedFS says to the printed documents for AWS and to the statements of
// the bucket policy; it takes the role policy as it is. The statements about the role that it
// takes deny nothing: s3api/policy_engine has no aws:PrincipalArn and no aws:PrincipalTag, and
// iam/policy has no ArnEquals and no NotResource. What isolates tenants is the role policy.
var weedDocuments = map[string]struct{ code, reason string }{
	// iam/policy: validateStatementWithType; what else the statement asks for, the audience as
	// HOST:aud and the tag as aws:RequestTag, is not known to its trust policies either, but
	// the audience as oidc:aud is.
	"trust policy": {"MalformedPolicyDocument", "sts:TagSession is no action of a trust policy"},
	// s3api/policy_engine: validateStatement wants an Action.
	"bucket policy":    {"InvalidPolicyDocument", "for its statement DenyBucketItself"},
	"DenyBucketItself": {"InvalidPolicyDocument", "there is no NotAction"},
}

// weedGrants is the code that a tenant gets for what no policy grants; AWS says AccessDenied.
var weedGrants = map[string]string{
	"GetObjectTagging": "AccessDenied", "PutObjectTagging": "AccessDenied", "DeleteObjectTagging": "AccessDenied",
	"GetObjectAcl": "AccessDenied", "PutObjectAcl": "AccessDenied", "PutObjectRetention": "AccessDenied",
	"DeleteObject of a version":   "AccessDenied",
	"ListObjectsV2 of everything": "AccessDenied", "ListObjectVersions of everything": "AccessDenied", "ListMultipartUploads": "AccessDenied",
	"GetBucketPolicy": "AccessDenied", "DeleteBucketPolicy": "AccessDenied", "PutBucketVersioning": "AccessDenied",
	"DeleteBucketLifecycle": "AccessDenied", "GetBucketLocation": "AccessDenied", "DeleteBucket": "AccessDenied",
}
