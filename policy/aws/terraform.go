package aws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// Terraform returns the documents as resources of the provider hashicorp/aws, version 5 or
// later. Without Thumbprints, the resources need a release of the provider of 2025 or later,
// because older releases require thumbprints (terraform-provider-aws#37255). The bucket must exist.
// Notes become comments.
func (d *Documents) Terraform() []byte {
	t := new(policy.Terraform)
	o := d.o
	for _, n := range d.Notes {
		t.Comment(n)
	}
	if len(o.Thumbprints) == 0 {
		t.Comment("Without thumbprints, the provider hashicorp/aws must be a release of 2025 or later, because older releases require them.")
	}
	t.Resource("aws_iam_openid_connect_provider", "objectvault", func() {
		t.Set("url", policy.Quoted(o.Issuer))
		t.Set("client_id_list", policy.Quoted(d.OIDCProvider.ClientIDs))
		if len(o.Thumbprints) > 0 {
			t.Set("thumbprint_list", policy.Quoted(o.Thumbprints))
		}
	})
	var roles []string
	role := func(name, label string, trust, inline *Policy) {
		if trust == nil {
			return
		}
		roles = append(roles, "aws_iam_role."+label)
		t.Resource("aws_iam_role", label, func() {
			t.Set("name", policy.Quoted(name))
			t.Set("assume_role_policy", policy.Encoded(trust))
			t.Set("depends_on", "[aws_iam_openid_connect_provider.objectvault]")
		})
		if inline != nil {
			t.Resource("aws_iam_role_policy", label, func() {
				t.Set("name", policy.Quoted(policyName))
				t.Set("role", "aws_iam_role."+label+".name")
				t.Set("policy", policy.Encoded(inline))
			})
		}
	}
	role(o.Role, "objectvault", d.TrustPolicy, d.RolePolicy)
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		role(d.Tenants[id].RoleName, policy.Label(id), d.Tenants[id].TrustPolicy, d.Tenants[id].RolePolicy)
	}
	bucket := policy.Quoted(o.Bucket)
	t.Resource("aws_s3_bucket_versioning", "objectvault", func() {
		t.Set("bucket", bucket)
		t.Nested("versioning_configuration", func() { t.Set("status", policy.Quoted(d.Versioning.Status)) })
	})
	t.Resource("aws_s3_bucket_public_access_block", "objectvault", func() {
		t.Set("bucket", bucket)
		for _, flag := range []struct {
			name string
			on   bool
		}{
			{"block_public_acls", d.PublicAccessBlock.BlockPublicAcls}, {"ignore_public_acls", d.PublicAccessBlock.IgnorePublicAcls},
			{"block_public_policy", d.PublicAccessBlock.BlockPublicPolicy}, {"restrict_public_buckets", d.PublicAccessBlock.RestrictPublicBuckets},
		} {
			t.Set(flag.name, fmt.Sprint(flag.on))
		}
	})
	t.Resource("aws_s3_bucket_lifecycle_configuration", "objectvault", func() {
		t.Set("bucket", bucket)
		for _, r := range d.Lifecycle.Rules {
			t.Nested("rule", func() {
				t.Set("id", policy.Quoted(r.ID))
				t.Set("status", policy.Quoted(r.Status))
				t.Nested("filter", func() { t.Set("prefix", policy.Quoted(r.Filter.Prefix)) })
				if r.Expiration != nil {
					t.Nested("expiration", func() {
						if r.Expiration.ExpiredObjectDeleteMarker {
							t.Set("expired_object_delete_marker", "true")
						} else {
							t.Set("days", fmt.Sprint(r.Expiration.Days))
						}
					})
				}
				if r.NoncurrentVersionExpiration != nil {
					t.Nested("noncurrent_version_expiration", func() { t.Set("noncurrent_days", fmt.Sprint(r.NoncurrentVersionExpiration.NoncurrentDays)) })
				}
				if r.AbortIncompleteMultipartUpload != nil {
					t.Nested("abort_incomplete_multipart_upload", func() {
						t.Set("days_after_initiation", fmt.Sprint(r.AbortIncompleteMultipartUpload.DaysAfterInitiation))
					})
				}
			})
		}
		t.Set("depends_on", "[aws_s3_bucket_versioning.objectvault]")
	})
	if d.BucketPolicy != nil {
		t.Resource("aws_s3_bucket_policy", "objectvault", func() {
			t.Set("bucket", bucket)
			t.Set("policy", policy.Encoded(d.BucketPolicy))
			t.Set("depends_on", "["+strings.Join(append(roles, "aws_s3_bucket_public_access_block.objectvault"), ", ")+"]")
		})
	}
	d.auditTerraform(t)
	return t.Bytes()
}
