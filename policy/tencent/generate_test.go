package tencent_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

const (
	issuer = "https://broker.example"
	keyID  = "93866e69-9755-11ef-8e65-52540089bc41"
)

// usual is the form of a bucket that was never versioned.
func usual() tencent.Options {
	return tencent.Options{
		Bucket: "vault-1250000000", Region: "ap-guangzhou", Account: "100000000001", Role: "vault", Provider: "broker", Issuer: issuer, Audience: "vault",
		Tenants:    []tencent.Tenant{{ID: "0xabc", Subject: "agentkeys:agent:0xabc"}, {ID: "acme.b_c-d", Subject: "repo:acme/agents:ref:refs/heads/main"}},
		ExpireDays: 30,
	}
}

func with(o tencent.Options, change func(*tencent.Options)) tencent.Options {
	change(&o)
	return o
}

func generate(t *testing.T, o tencent.Options) *tencent.Documents {
	t.Helper()
	d, err := tencent.Generate(o)
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return d
}

// golden contains the options of the golden files, which were reviewed before they were added.
var golden = map[string]tencent.Options{
	"usual": usual(),
	"versioned": with(usual(), func(o *tencent.Options) {
		o.Versioned = true
		o.AllowDoctor = true
		o.KMSKey = keyID
		o.JWKS = []byte(`{"keys":[{"kty":"RSA"}]}`)
	}),
	"forced": with(usual(), func(o *tencent.Options) {
		o.ForbidOverwrite = true
		o.Collection = "credentials"
		o.Issuer = "http://127.0.0.1:8080"
		o.ExpireDays = 0
		o.Tenants = o.Tenants[:1]
	}),
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(files) != len(golden)+2 {
		t.Errorf("%d files for %d forms, %v", len(files), len(golden), err)
	}
	compare := func(file string, got []byte) {
		want, err := os.ReadFile(filepath.Join("testdata/golden", file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for name, o := range golden {
		compare(name+".json", generate(t, o).JSON())
	}
	compare("usual.tf", generate(t, golden["usual"]).Terraform())
	compare("versioned.tf", generate(t, golden["versioned"]).Terraform())
}

// matrix calls f with every combination of options that makes sense.
func matrix(t *testing.T, f func(name string, o tencent.Options)) {
	n := 0
	flags := []bool{false, true}
	for _, versioned := range flags {
		for _, force := range flags {
			for _, doctor := range flags {
				for _, collection := range []string{"", "credentials"} {
					for _, days := range []int{0, 30} {
						for _, tenants := range []int{1, 2} {
							if versioned && force {
								continue
							}
							o := usual()
							o.Versioned, o.ForbidOverwrite, o.AllowDoctor, o.Collection, o.ExpireDays = versioned, force, doctor, collection, days
							o.Tenants = o.Tenants[:tenants]
							if doctor {
								o.KMSKey = keyID
							}
							n++
							f(fmt.Sprintf("%v/%v/%v/%s/%d/%d", versioned, force, doctor, collection, days, tenants), o)
						}
					}
				}
			}
		}
	}
	if n != 48 {
		t.Errorf("%d combinations", n)
	}
}

// TestPrintedIsClean: the printed documents have no weakness, and can be parsed back.
func TestPrintedIsClean(t *testing.T) {
	matrix(t, func(name string, o tencent.Options) {
		d := generate(t, o)
		if !tencent.Recognise(d.JSON()) {
			t.Errorf("%s is not recognised", name)
		}
		docs, err := tencent.Parse(name, d.JSON())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, check := range []tencent.CheckOptions{{}, {Bucket: o.Bucket, Issuer: o.Issuer, Audience: o.Audience}} {
			for _, f := range tencent.Check(docs, check) {
				t.Errorf("%s: %s: %s: %s", name, f.Where(), f.Weakness, f.Message)
			}
		}
		if len(docs) != 2*len(o.Tenants) {
			t.Errorf("%s: %d policies were read back", name, len(docs))
		}
		for _, doc := range docs {
			want := d.Tenants[doc.Tenant].TrustPolicy
			if doc.Part == policy.RolePolicy {
				want = d.Tenants[doc.Tenant].RolePolicy
			}
			if diff := cmp.Diff(want, doc.Policy); diff != "" {
				t.Errorf("%s: %s %s (-printed +read):\n%s", name, doc.Tenant, doc.Part, diff)
			}
			if n := len(doc.Policy.String()); n > 6144 {
				t.Errorf("%s: %s has %d characters", name, doc.Part, n)
			}
		}
	})
}

// TestNoVariables: isolation must not depend on features that Tencent does not support.
func TestNoVariables(t *testing.T) {
	matrix(t, func(name string, o tencent.Options) {
		text := string(generate(t, o).JSON())
		for _, bad := range []string{"${", "principal_tag", "request_tag", "string_like\":{\"oidc", `"principal":"*"`} {
			if strings.Contains(text, bad) {
				t.Errorf("%s contains %s", name, bad)
			}
		}
	})
}

func TestTenants(t *testing.T) {
	d := generate(t, usual())
	own := d.Tenants["0xabc"]
	if own.RoleName != "vault-0xabc" || own.RoleARN != "qcs::cam::uin/100000000001:roleName/vault-0xabc" {
		t.Errorf("role %s, %s", own.RoleName, own.RoleARN)
	}
	if want := `{"version":"2.0","statement":[{"effect":"allow","principal":{"federated":["qcs::cam::uin/100000000001:oidc-provider/broker"]},` +
		`"action":["name/sts:AssumeRoleWithWebIdentity"],"condition":{"string_equal":{"oidc:aud":["vault"],"oidc:iss":["https://broker.example"],"oidc:sub":["agentkeys:agent:0xabc"]}}}]}`; own.TrustPolicy.String() != want {
		t.Errorf("trust %s", own.TrustPolicy)
	}
	if text := own.RolePolicy.String(); strings.Contains(text, "acme") || !strings.Contains(text, `"bots%2F0xabc%2F*"`) || !strings.Contains(text, `:vault-1250000000/bots/0xabc/*"`) {
		t.Errorf("policy %s", text)
	}
	long := strings.Repeat("a", 128)
	d = generate(t, with(usual(), func(o *tencent.Options) {
		o.Tenants = []tencent.Tenant{{ID: long, Subject: "a"}, {ID: long[:127] + "b", Subject: "b"}}
	}))
	if a, b := d.Tenants[long].RoleName, d.Tenants[long[:127]+"b"].RoleName; a == b || len(a) != len("vault-")+24 {
		t.Errorf("long tenants have the roles %s and %s", a, b)
	}
	if d := generate(t, golden["versioned"]); d.OIDCProvider.IdentityKey != base64.StdEncoding.EncodeToString(golden["versioned"].JWKS) {
		t.Errorf("identity key %s", d.OIDCProvider.IdentityKey)
	}
}

// TestKMSKey: each tenant may encrypt and decrypt with the key, and nothing else.
func TestKMSKey(t *testing.T) {
	const own, other = "qcs::kms:ap-guangzhou:uin/100000000001:key/creatorUin/100000000001/" + keyID, "qcs::kms:ap-beijing:uin/100000000001:key/creatorUin/100000000011/" + keyID
	for key, want := range map[string]string{"": "", keyID: own, own: own, other: other} {
		d := generate(t, with(usual(), func(o *tencent.Options) { o.KMSKey = key }))
		for id, tenant := range d.Tenants {
			got := ""
			for _, s := range tenant.RolePolicy.Statement {
				if strings.Contains(strings.Join(s.Action, " "), "kms") {
					got += s.Effect + " " + strings.Join(s.Action, " ") + " " + strings.Join(s.Resource, " ")
				}
			}
			if want != "" && got != "allow name/kms:Encrypt name/kms:Decrypt "+want || want == "" && got != "" {
				t.Errorf("%s, key %q: %s", id, key, got)
			}
		}
		if note := strings.Contains(strings.Join(d.Notes, " "), "SUBACCOUNT"); note != (key == keyID) {
			t.Errorf("key %q: the notes are %q", key, d.Notes)
		}
	}
}

// TestEveryDenyHasOneKey: a condition with several keys applies only if all of them match.
func TestEveryDenyHasOneKey(t *testing.T) {
	matrix(t, func(name string, o tencent.Options) {
		for id, tenant := range generate(t, o).Tenants {
			for i, s := range tenant.RolePolicy.Statement {
				keys := 0
				for _, of := range s.Condition {
					keys += len(of)
				}
				if s.Effect == "deny" && keys != 1 {
					t.Errorf("%s: %s statement[%d] denies with %d keys", name, id, i, keys)
				}
				for _, a := range s.Action {
					if strings.Contains(a, "*") {
						t.Errorf("%s: %s statement[%d] has the wildcard action %s", name, id, i, a)
					}
				}
			}
		}
	})
}

func TestBadOptions(t *testing.T) {
	for _, tc := range []struct {
		change func(*tencent.Options)
		want   string
	}{
		{func(o *tencent.Options) { o.Bucket = "" }, `invalid bucket name ""`},
		{func(o *tencent.Options) { o.Bucket = "vault" }, "must have the form NAME-APPID"},
		{func(o *tencent.Options) { o.Bucket = "Vault-1250000000" }, "must have the form NAME-APPID"},
		{func(o *tencent.Options) { o.Bucket = "vault*-1250000000" }, "must have the form NAME-APPID"},
		{func(o *tencent.Options) { o.Bucket = strings.Repeat("v", 40) + "-1250000000" }, "at most 60 characters"},
		{func(o *tencent.Options) { o.Region = "" }, `invalid region ""`},
		{func(o *tencent.Options) { o.Region = "*" }, "invalid region"},
		{func(o *tencent.Options) { o.Account = "12345a" }, "it must be a UIN"},
		{func(o *tencent.Options) { o.Role = "" }, `invalid role name ""`},
		{func(o *tencent.Options) { o.Role = strings.Repeat("r", 110) }, "is too long"},
		{func(o *tencent.Options) { o.Provider = "a/b" }, `invalid provider name "a/b"`},
		{func(o *tencent.Options) { o.Issuer = "http://broker.example" }, "is not https"},
		{func(o *tencent.Options) { o.Issuer = "broker.example" }, "is not a URL"},
		{func(o *tencent.Options) { o.Issuer = "https://u@broker.example" }, "has a user"},
		{func(o *tencent.Options) { o.Issuer = "https://broker.example/?x" }, "has a user, a query or a fragment"},
		{func(o *tencent.Options) { o.Issuer = "https://broker.example/$(id)" }, "is not in normal form"},
		{func(o *tencent.Options) { o.Issuer = "https://bro_ker.example" }, "has an invalid host name"},
		{func(o *tencent.Options) { o.Issuer = "http://[::1%25$(id)]:80" }, "is not https"},
		{func(o *tencent.Options) { o.Issuer = "https://[::1%25'$(id)']:80" }, "has an invalid host name"},
		{func(o *tencent.Options) { o.Audience = "" }, "the audience is empty"},
		{func(o *tencent.Options) { o.Audience = "${x}" }, "the audience is empty, longer"},
		{func(o *tencent.Options) { o.Tenants = nil }, "at least one tenant"},
		{func(o *tencent.Options) { o.Tenants = []tencent.Tenant{{ID: "acme"}} }, `tenant "acme" has no subject: every token`},
		{func(o *tencent.Options) { o.Tenants = []tencent.Tenant{{ID: "acme", Subject: "repo:acme/*"}} }, "or a *"},
		{func(o *tencent.Options) { o.Tenants = []tencent.Tenant{{ID: "*", Subject: "s"}} }, `invalid tenant "*"`},
		{func(o *tencent.Options) { o.Tenants = []tencent.Tenant{{ID: "a/b", Subject: "s"}} }, "invalid tenant"},
		{func(o *tencent.Options) { o.Tenants = []tencent.Tenant{{ID: "eip155:1:0xabc", Subject: "s"}} }, "invalid tenant"},
		{func(o *tencent.Options) {
			o.Tenants = []tencent.Tenant{{ID: "a", Subject: "s"}, {ID: "a", Subject: "t"}}
		}, "occurs twice"},
		{func(o *tencent.Options) {
			o.Tenants = []tencent.Tenant{{ID: "a", Subject: "s"}, {ID: "b", Subject: "s"}}
		}, "the same subject as another tenant"},
		{func(o *tencent.Options) { o.Collection = "a/b" }, `invalid collection "a/b"`},
		{func(o *tencent.Options) { o.ExpireDays = -1 }, "must be 1 to 3650"},
		{func(o *tencent.Options) { o.ExpireDays = 3651 }, "must be 1 to 3650"},
		{func(o *tencent.Options) { o.Versioned, o.ForbidOverwrite = true, true }, "cannot be combined with versioning"},
		{func(o *tencent.Options) { o.KMSKey = "vault" }, `"vault" is not a KMS key`},
		{func(o *tencent.Options) { o.KMSKey = keyID + "*" }, "is not a KMS key"},
		{func(o *tencent.Options) { o.KMSKey = "qcs::kms:ap-beijing:uin/100000000001:key/*" }, "is not a KMS key"},
		{func(o *tencent.Options) { o.JWKS = []byte("{}") }, "must be a JSON object"},
	} {
		d, err := tencent.Generate(with(usual(), tc.change))
		if !errors.Is(err, policy.ErrOptions) || !strings.Contains(err.Error(), tc.want) || d != nil {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
}

// TestCommands: the commands and comments apply every printed part exactly once. Every command runs
// tccli or coscli; other steps are comments.
func TestCommands(t *testing.T) {
	matrix(t, func(name string, o tencent.Options) {
		d := generate(t, o)
		for _, c := range d.Commands {
			if !strings.HasPrefix(c, "tccli cam ") && !strings.HasPrefix(c, "coscli ") || strings.Contains(c, "\n") {
				t.Errorf("%s: not a command of tccli or coscli: %s", name, c)
			}
		}
		text := strings.Join(slices.Concat(d.Commands, d.Comments), "\n")
		want := []string{"CreateOIDCConfig", "?lifecycle", "?strict-signature"}
		if o.Versioned {
			want = append(want, "coscli bucket-versioning --method put cos://"+o.Bucket+" Enabled ")
		} else if strings.Contains(text, "versioning") {
			t.Errorf("%s: the commands mention versioning, which cannot be disabled again", name)
		}
		for id, tenant := range d.Tenants {
			want = append(want, "CreateRole --RoleName "+tenant.RoleName+" ", "CreatePolicy --PolicyName "+tenant.RoleName+" ",
				`'.tenants["`+id+`"].trust_policy'`, `'.tenants["`+id+`"].role_policy'`, "AttachRolePolicy --AttachRoleName "+tenant.RoleName+" --PolicyName "+tenant.RoleName)
		}
		for _, w := range want {
			if strings.Count(text, w) != 1 {
				t.Errorf("%s: %q occurs %d times in\n%s", name, w, strings.Count(text, w), text)
			}
		}
		var back map[string]any
		if err := json.Unmarshal(d.JSON(), &back); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

// TestTerraform: each tenant has its three resources, and the labels are different.
func TestTerraform(t *testing.T) {
	d := generate(t, with(usual(), func(o *tencent.Options) {
		o.ExpireDays = 0
		o.Tenants = []tencent.Tenant{{ID: "a.b", Subject: "1"}, {ID: "a_b", Subject: "2"}, {ID: "a-b", Subject: "%{x}"}}
	}))
	text := string(d.Terraform())
	for _, want := range []string{
		`resource "tencentcloud_cam_role" "tenant_a_2eb" {`, `resource "tencentcloud_cam_role" "tenant_a_5fb" {`, `resource "tencentcloud_cam_role" "tenant_a-b" {`,
		`  role_id = tencentcloud_cam_role.tenant_a_2eb.id`, `  policy_id = tencentcloud_cam_policy.tenant_a_2eb.id`,
		`base64encode(var.objectvault_jwks)`, `"%%{x}"`, `filter_prefix = "bots/"`, `days_after_initiation = 1`, `# terraform import tencentcloud_cos_bucket.objectvault vault-1250000000`,
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q occurs %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
	if strings.Count(text, "{")+strings.Count(text, "[") != strings.Count(text, "}")+strings.Count(text, "]") {
		t.Errorf("brackets do not match in\n%s", text)
	}
}
