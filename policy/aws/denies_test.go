package aws_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy/aws"
)

// A request is what S3 evaluates policies for.
type request struct {
	action   string
	resource string            // below arn:aws:s3:::
	keys     map[string]string // the condition keys that the request has
}

// refused reports whether a denial of p applies to r. It knows the operators of the printed
// policies, and fails on others.
func refused(t *testing.T, p *aws.Policy, r request) bool {
	t.Helper()
	matches := func(list []string, s string) bool {
		return slices.ContainsFunc(list, func(pattern string) bool {
			pattern = os.Expand(pattern, func(name string) string { return r.keys[name] })
			pattern = strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
			return regexp.MustCompile("^" + pattern + "$").MatchString(s)
		})
	}
	holds := func(op, key string, values []string) bool {
		value, there := r.keys[key]
		switch op {
		case "ArnEquals", "Bool":
			return there && matches(values, value)
		case "StringNotLike":
			return !there || !matches(values, value)
		case "Null":
			return values[0] == map[bool]string{true: "false", false: "true"}[there]
		}
		t.Fatalf("operator %s", op)
		return false
	}
	for _, s := range p.Statement {
		action := s.NotAction == nil && matches(s.Action, r.action) || s.NotAction != nil && !matches(s.NotAction, r.action)
		arn := "arn:aws:s3:::" + r.resource
		resource := s.NotResource == nil && matches(s.Resource, arn) || s.NotResource != nil && !matches(s.NotResource, arn)
		if s.Effect != "Deny" || !action || !resource {
			continue
		}
		all := true
		for op, keys := range s.Condition {
			for key, values := range keys {
				all = all && holds(op, key, values)
			}
		}
		if all {
			return true
		}
	}
	return false
}

// TestDenies: with AmazonS3FullAccess on the role, a tenant can do only what it needs on the
// bucket. Other principals are not affected.
func TestDenies(t *testing.T) {
	const tag = "aws:PrincipalTag/agentkeys_user_wallet"
	p := generate(t, byTag()).BucketPolicy
	for _, tc := range []struct {
		action, resource, prefix string // prefix "-": the request has none
		refused                  bool
	}{
		// Create, upload, complete and abort of parts are PutObject and AbortMultipartUpload.
		{"s3:GetObject", "vault/bots/acme/credentials/x.enc", "-", false}, // and HeadObject
		{"s3:GetObjectVersion", "vault/bots/acme/credentials/x.enc", "-", false},
		{"s3:PutObject", "vault/bots/acme/credentials/x.enc", "-", false},
		{"s3:AbortMultipartUpload", "vault/bots/acme/credentials/x.enc", "-", false},
		{"s3:ListMultipartUploadParts", "vault/bots/acme/credentials/x.enc", "-", false},
		{"s3:DeleteObject", "vault/bots/acme/credentials/x.enc", "-", false}, // each of DeleteObjects, too
		{"s3:DeleteObjectVersion", "vault/bots/acme/credentials/x.enc", "-", false},
		{"s3:ListBucket", "vault", "bots/acme/credentials/", false},
		{"s3:ListBucketVersions", "vault", "bots/acme/credentials/x.enc", false},
		{"s3:GetBucketVersioning", "vault", "-", false},
		{"s3:GetLifecycleConfiguration", "vault", "-", false},
		{"s3:GetBucketPolicy", "vault", "-", false},

		{"s3:GetObject", "vault/bots/acmex/credentials/x.enc", "-", true},
		{"s3:PutObject", "vault/x.enc", "-", true},
		{"s3:ListBucket", "vault", "bots/", true},
		{"s3:ListBucketVersions", "vault", "bots/acmex/", true},
		{"s3:ListBucket", "vault", "-", true}, // and HeadBucket
		{"s3:ListBucketMultipartUploads", "vault", "bots/acme/", true},
		{"s3:DeleteBucketPolicy", "vault", "-", true},
		{"s3:PutBucketPolicy", "vault", "-", true},
		{"s3:PutLifecycleConfiguration", "vault", "-", true},
		{"s3:PutBucketVersioning", "vault", "-", true},
		{"s3:PutBucketPublicAccessBlock", "vault", "-", true},
		{"s3:PutBucketAcl", "vault", "-", true},
		{"s3:PutInventoryConfiguration", "vault", "-", true},
		{"s3:PutReplicationConfiguration", "vault", "-", true},
		{"s3:PutBucketNotification", "vault", "-", true},
		{"s3:DeleteBucket", "vault", "-", true},
	} {
		by := func(role string) map[string]string {
			keys := map[string]string{"aws:PrincipalArn": "arn:aws:iam::123456789012:role/" + role, "aws:SecureTransport": "true"}
			if tc.prefix != "-" {
				keys["s3:prefix"] = tc.prefix
			}
			return keys
		}
		tenant := by("vault")
		tenant[tag] = "acme"
		for who, want := range map[string]struct {
			keys    map[string]string
			refused bool
		}{
			"the tenant":       {tenant, tc.refused},
			"the role, no tag": {by("vault"), true},
			"the operator":     {by("operator"), false},
		} {
			if got := refused(t, p, request{tc.action, tc.resource, want.keys}); got != want.refused {
				t.Errorf("%s: %s of %s, prefix %s: denied is %v, want %v", who, tc.action, tc.resource, tc.prefix, got, want.refused)
			}
		}
	}
}
