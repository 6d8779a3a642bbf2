package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Terraform is the same documents as resources of the provider hashicorp/aws, version 5
// or later; without Thumbprints a release of 2025 or later, since they were required
// before (terraform-provider-aws#37255). The bucket exists already; notes become comments.
func (d *Documents) Terraform() []byte {
	t := &hcl{}
	o := d.o
	for _, n := range d.Notes {
		fmt.Fprintf(&t.b, "# %s\n", n)
	}
	if len(o.Thumbprints) == 0 {
		t.b.WriteString("# without thumbprints hashicorp/aws has to be of 2025 or later: before, it required them\n")
	}
	t.block("aws_iam_openid_connect_provider", "objectvault", func() {
		t.set("url", quoteHCL(o.Issuer))
		t.set("client_id_list", listHCL(d.OIDCProvider.ClientIDs))
		if len(o.Thumbprints) > 0 {
			t.set("thumbprint_list", listHCL(o.Thumbprints))
		}
	})
	var roles []string
	role := func(name, label string, trust, policy *Policy) {
		if trust == nil {
			return
		}
		roles = append(roles, "aws_iam_role."+label)
		t.block("aws_iam_role", label, func() {
			t.set("name", quoteHCL(name))
			t.set("assume_role_policy", documentHCL(trust))
			t.set("depends_on", "[aws_iam_openid_connect_provider.objectvault]")
		})
		if policy != nil {
			t.block("aws_iam_role_policy", label, func() {
				t.set("name", quoteHCL(policyName))
				t.set("role", "aws_iam_role."+label+".name")
				t.set("policy", documentHCL(policy))
			})
		}
	}
	role(o.Role, "objectvault", d.TrustPolicy, d.RolePolicy)
	for _, id := range d.tenantIDs() {
		role(d.Tenants[id].RoleName, label(id), d.Tenants[id].TrustPolicy, d.Tenants[id].RolePolicy)
	}
	bucket := quoteHCL(o.Bucket)
	t.block("aws_s3_bucket_versioning", "objectvault", func() {
		t.set("bucket", bucket)
		t.nested("versioning_configuration", func() { t.set("status", quoteHCL(d.Versioning.Status)) })
	})
	t.block("aws_s3_bucket_public_access_block", "objectvault", func() {
		t.set("bucket", bucket)
		for _, flag := range []struct {
			name string
			on   bool
		}{
			{"block_public_acls", d.PublicAccessBlock.BlockPublicAcls}, {"ignore_public_acls", d.PublicAccessBlock.IgnorePublicAcls},
			{"block_public_policy", d.PublicAccessBlock.BlockPublicPolicy}, {"restrict_public_buckets", d.PublicAccessBlock.RestrictPublicBuckets},
		} {
			t.set(flag.name, fmt.Sprint(flag.on))
		}
	})
	t.block("aws_s3_bucket_lifecycle_configuration", "objectvault", func() {
		t.set("bucket", bucket)
		for _, r := range d.Lifecycle.Rules {
			t.nested("rule", func() {
				t.set("id", quoteHCL(r.ID))
				t.set("status", quoteHCL(r.Status))
				t.nested("filter", func() { t.set("prefix", quoteHCL(r.Filter.Prefix)) })
				if r.Expiration != nil {
					t.nested("expiration", func() { t.set("days", fmt.Sprint(r.Expiration.Days)) })
				}
				if r.NoncurrentVersionExpiration != nil {
					t.nested("noncurrent_version_expiration", func() { t.set("noncurrent_days", fmt.Sprint(r.NoncurrentVersionExpiration.NoncurrentDays)) })
				}
				if r.AbortIncompleteMultipartUpload != nil {
					t.nested("abort_incomplete_multipart_upload", func() {
						t.set("days_after_initiation", fmt.Sprint(r.AbortIncompleteMultipartUpload.DaysAfterInitiation))
					})
				}
			})
		}
		t.set("depends_on", "[aws_s3_bucket_versioning.objectvault]")
	})
	if d.BucketPolicy != nil {
		t.block("aws_s3_bucket_policy", "objectvault", func() {
			t.set("bucket", bucket)
			t.set("policy", documentHCL(d.BucketPolicy))
			t.set("depends_on", "["+strings.Join(append(roles, "aws_s3_bucket_public_access_block.objectvault"), ", ")+"]")
		})
	}
	return t.b.Bytes()
}

// An hcl writes blocks with their attributes indented.
type hcl struct {
	b     bytes.Buffer
	depth int
}

func (t *hcl) block(kind, label string, fill func()) {
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	fmt.Fprintf(&t.b, "resource %q %q {\n", kind, label)
	t.depth++
	fill()
	t.depth--
	t.b.WriteString("}\n")
}

func (t *hcl) nested(name string, fill func()) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s {\n", indent, name)
	t.depth++
	fill()
	t.depth--
	fmt.Fprintf(&t.b, "%s}\n", indent)
}

func (t *hcl) set(name, expression string) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s = %s\n", indent, name, strings.ReplaceAll(expression, "\n", "\n"+indent))
}

// documentHCL is a policy as an expression: JSON is one, but for ${ and %{, which
// Terraform would fill in.
func documentHCL(p *Policy) string {
	var b bytes.Buffer
	_ = json.Indent(&b, compact(p), "", "  ") // compact returns JSON
	return "jsonencode(" + escapeHCL(b.String()) + ")"
}

// quoteHCL is s as a string: what JSON writes is one in HCL too.
func quoteHCL(s string) string { return escapeHCL(string(compact(s))) }

func listHCL(list []string) string { return escapeHCL(string(compact(list))) }

func escapeHCL(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

// label is the name of a tenant's resources: an identifier, which no other tenant has.
func label(tenant string) string {
	var b strings.Builder
	b.WriteString("tenant_")
	for _, c := range []byte(tenant) {
		if c == '.' || c == '_' {
			fmt.Fprintf(&b, "_%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
