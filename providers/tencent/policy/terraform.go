package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Terraform is the same documents as resources of the provider
// tencentcloudstack/tencentcloud. The bucket exists already and is to be imported; notes
// become comments. For strict_signature the provider has no resource.
func (d *Documents) Terraform() []byte {
	t := &hcl{}
	o := d.o
	for _, n := range d.Notes {
		fmt.Fprintf(&t.b, "# %s\n", n)
	}
	key := quoteHCL(d.OIDCProvider.IdentityKey)
	if d.OIDCProvider.IdentityKey == "" {
		key = "base64encode(var.objectvault_jwks)"
		t.block("variable", []string{"objectvault_jwks"}, func() {
			t.set("description", quoteHCL("what jwks_uri of "+o.Issuer+" answers"))
			t.set("type", "string")
		})
	}
	t.resource("tencentcloud_cam_role_sso", "objectvault", func() {
		t.set("name", quoteHCL(o.Provider))
		t.set("identity_url", quoteHCL(o.Issuer))
		t.set("identity_key", key)
		t.set("client_ids", listHCL(d.OIDCProvider.ClientIDs))
		t.set("auto_rotate_key", "1")
	})
	for _, id := range d.tenantIDs() {
		name, label := quoteHCL(d.Tenants[id].RoleName), label(id)
		t.resource("tencentcloud_cam_role", label, func() {
			t.set("name", name)
			t.set("document", documentHCL(d.Tenants[id].TrustPolicy))
			t.set("console_login", "false")
			t.set("depends_on", "[tencentcloud_cam_role_sso.objectvault]")
		})
		t.resource("tencentcloud_cam_policy", label, func() {
			t.set("name", name)
			t.set("document", documentHCL(d.Tenants[id].RolePolicy))
		})
		t.resource("tencentcloud_cam_role_policy_attachment", label, func() {
			t.set("role_id", "tencentcloud_cam_role."+label+".id")
			t.set("policy_id", "tencentcloud_cam_policy."+label+".id")
		})
	}
	fmt.Fprintf(&t.b, "\n# terraform import tencentcloud_cos_bucket.objectvault %s", o.Bucket)
	t.resource("tencentcloud_cos_bucket", "objectvault", func() {
		t.set("bucket", quoteHCL(o.Bucket))
		t.set("acl", quoteHCL("private"))
		if o.Versioned {
			t.set("versioning_enable", "true")
		}
		if o.ExpireDays > 0 {
			t.nested("lifecycle_rules", func() {
				t.set("id", quoteHCL("objectvault-expire"))
				t.set("filter_prefix", quoteHCL(root))
				t.nested("expiration", func() { t.set("days", fmt.Sprint(o.ExpireDays)) })
				if o.Versioned {
					t.nested("non_current_expiration", func() { t.set("non_current_days", fmt.Sprint(o.ExpireDays)) })
				}
			})
		}
		t.nested("lifecycle_rules", func() {
			t.set("id", quoteHCL("objectvault-abort-uploads"))
			t.set("filter_prefix", quoteHCL(root))
			t.nested("abort_incomplete_multipart_upload", func() { t.set("days_after_initiation", "1") })
		})
	})
	return t.b.Bytes()
}

// An hcl writes blocks with their attributes indented.
type hcl struct {
	b     bytes.Buffer
	depth int
}

func (t *hcl) resource(kind, label string, fill func()) {
	t.block("resource", []string{kind, label}, fill)
}

func (t *hcl) block(word string, labels []string, fill func()) {
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	t.b.WriteString(word)
	for _, l := range labels {
		fmt.Fprintf(&t.b, " %q", l)
	}
	t.b.WriteString(" {\n")
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
