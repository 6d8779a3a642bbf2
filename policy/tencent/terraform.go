package tencent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/objectvault/objectvault/policy"
)

// Terraform returns the documents as resources of the provider
// tencentcloudstack/tencentcloud. The bucket must exist and be imported. Notes become
// comments. The provider has no resource for strict_signature.
func (d *Documents) Terraform() []byte {
	t := new(policy.Terraform)
	o := d.o
	for _, n := range d.Notes {
		t.Comment(n)
	}
	key := policy.Quoted(d.OIDCProvider.IdentityKey)
	if d.OIDCProvider.IdentityKey == "" {
		key = "base64encode(var.objectvault_jwks)"
		t.Variable("objectvault_jwks", func() {
			t.Set("description", policy.Quoted("the response of the jwks_uri of "+o.Issuer))
			t.Set("type", "string")
		})
	}
	t.Resource("tencentcloud_cam_role_sso", "objectvault", func() {
		t.Set("name", policy.Quoted(o.Provider))
		t.Set("identity_url", policy.Quoted(o.Issuer))
		t.Set("identity_key", key)
		t.Set("client_ids", policy.Quoted(d.OIDCProvider.ClientIDs))
		t.Set("auto_rotate_key", "1")
	})
	for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
		name, label := policy.Quoted(d.Tenants[id].RoleName), policy.Label(id)
		t.Resource("tencentcloud_cam_role", label, func() {
			t.Set("name", name)
			t.Set("document", policy.Encoded(d.Tenants[id].TrustPolicy))
			t.Set("console_login", "false")
			t.Set("depends_on", "[tencentcloud_cam_role_sso.objectvault]")
		})
		t.Resource("tencentcloud_cam_policy", label, func() {
			t.Set("name", name)
			t.Set("document", policy.Encoded(d.Tenants[id].RolePolicy))
		})
		t.Resource("tencentcloud_cam_role_policy_attachment", label, func() {
			t.Set("role_id", "tencentcloud_cam_role."+label+".id")
			t.Set("policy_id", "tencentcloud_cam_policy."+label+".id")
		})
	}
	if d.Audit != nil {
		t.Resource("tencentcloud_cam_policy", "auditor", func() {
			t.Set("name", policy.Quoted(auditorName))
			t.Set("document", policy.Encoded(d.Audit.AuditorPolicy))
		})
		t.Remark("terraform import tencentcloud_cos_bucket.audit " + o.AuditBucket)
		t.Resource("tencentcloud_cos_bucket", "audit", func() {
			t.Set("bucket", policy.Quoted(o.AuditBucket))
			t.Set("acl", policy.Quoted("private"))
			t.Nested("lifecycle_rules", func() {
				t.Set("id", policy.Quoted("objectvault-audit-expire"))
				t.Set("filter_prefix", policy.Quoted(auditPrefix))
				t.Nested("expiration", func() { t.Set("days", fmt.Sprint(o.AuditDays)) })
			})
		})
	}
	t.Remark("terraform import tencentcloud_cos_bucket.objectvault " + o.Bucket)
	t.Resource("tencentcloud_cos_bucket", "objectvault", func() {
		t.Set("bucket", policy.Quoted(o.Bucket))
		t.Set("acl", policy.Quoted("private"))
		if o.Versioned {
			t.Set("versioning_enable", "true")
		}
		if d.Audit != nil {
			t.Set("log_enable", "true")
			t.Set("log_target_bucket", policy.Quoted(o.AuditBucket))
			t.Set("log_prefix", policy.Quoted(auditPrefix))
		}
		if o.ExpireDays > 0 {
			t.Nested("lifecycle_rules", func() {
				t.Set("id", policy.Quoted("objectvault-expire"))
				t.Set("filter_prefix", policy.Quoted(root))
				t.Nested("expiration", func() { t.Set("days", fmt.Sprint(o.ExpireDays)) })
				if o.Versioned {
					t.Nested("non_current_expiration", func() { t.Set("non_current_days", fmt.Sprint(o.ExpireDays)) })
				}
			})
			if o.Versioned {
				t.Nested("lifecycle_rules", func() {
					t.Set("id", policy.Quoted("objectvault-delete-markers"))
					t.Set("filter_prefix", policy.Quoted(root))
					t.Nested("expiration", func() { t.Set("delete_marker", "true") })
				})
			}
		}
		t.Nested("lifecycle_rules", func() {
			t.Set("id", policy.Quoted("objectvault-abort-uploads"))
			t.Set("filter_prefix", policy.Quoted(root))
			t.Nested("abort_incomplete_multipart_upload", func() { t.Set("days_after_initiation", "1") })
		})
	})
	return t.Bytes()
}
