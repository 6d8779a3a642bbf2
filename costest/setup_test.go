package costest_test

import (
	"strings"
	"testing"

	"github.com/objectvault/objectvault/costest"
	policy "github.com/objectvault/objectvault/policy/tencent"
)

// TestSetup: the complete output is applied, and an error names the part that cannot be applied.
func TestSetup(t *testing.T) {
	i := newIssuer(t, nil)
	docs, err := policy.Generate(policy.Options{
		Bucket: "vault-1250000000", Region: "ap-guangzhou", Account: ownerUin, Role: "vault", Provider: "idp", Issuer: i.URL, Audience: "vault",
		Tenants: []policy.Tenant{{ID: "a", Subject: "bot:a"}}, ExpireDays: 30, Versioned: true, JWKS: jwks(t, i),
	})
	check(t, err)
	printed := string(docs.JSON())
	s := start(t, &costest.Options{TLS: true})
	check(t, s.Setup([]byte(printed), nil))
	c := sdk(t, s, s.Bucket())
	lifecycle, _, err := c.Bucket.GetLifecycle(t.Context())
	check(t, err)
	versioning, _, err := c.Bucket.GetVersioning(t.Context())
	check(t, err)
	if len(lifecycle.Rules) != 3 || lifecycle.Rules[0].Expiration.Days != 30 || lifecycle.Rules[2].AbortIncompleteMultipartUpload.DaysAfterInitiation != 1 || versioning.Status != "Enabled" {
		t.Errorf("%+v, %+v", lifecycle, versioning)
	}
	for _, tc := range []struct{ name, doc, want string }{
		{"applied twice", printed, "IdentityNameInUse"},
		{"not JSON", "x", "invalid character"},
		{"invalid keys", strings.Replace(printed, `"IdentityKey": "`, `"IdentityKey": "!`, 1), "IdentityKey: illegal base64"},
		{"trust policy without oidc:iss", strings.Replace(printed, `"oidc:iss"`, `"oidc:jss"`, 1), "tenant a: costest: InvalidParameter.PolicyDocumentError"},
		{"no role policy", strings.Replace(printed, `"role_policy"`, `"role"`, 1), "tenant a"},
		{"invalid lifecycle", strings.Replace(printed, "<LifecycleConfiguration>", "<Lifecycle>", 1), "lifecycle: 400"},
	} {
		s := s
		if tc.name != "applied twice" {
			s = start(t, nil)
		}
		if err := s.Setup([]byte(tc.doc), nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}
