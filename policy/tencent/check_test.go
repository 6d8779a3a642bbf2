package tencent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

// Documents without weaknesses that differ from the generated ones.
const (
	goodTrust = `{"version":"2.0","statement":{"effect":"allow","action":"name/sts:AssumeRoleWithWebIdentity",
		"principal":{"federated":["qcs::cam::uin/100000000001:oidc-provider/broker"]},
		"condition":{"string_equal":{"oidc:iss":"https://broker.example","oidc:aud":"vault","oidc:sub":"bot:0xabc"}}}}`
	goodRole = `{"version":"2.0","statement":[
		{"effect":"allow","action":["name/cos:GetObject","name/cos:PutObject","cos:DeleteObject"],
			"resource":["qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/bots/0xabc/credentials/*"],"condition":{"bool_equal":{"cos:secure-transport":true}}},
		{"effect":"allow","action":"name/cos:GetBucket","resource":"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/",
			"condition":{"string_like":{"cos:prefix":["bots%2F0xabc%2F*"]},"bool_equal":{"cos:secure-transport":"true"}}},` + denies + `]}`
	denies = `
		{"effect":"deny","action":["name/cos:PutObject","name/cos:InitiateMultipartUpload"],"resource":["qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/*"],
			"condition":{"string_equal":{"cos:x-cos-acl":["public-read","public-read-write","authenticated-read"]}}},
		{"effect":"deny","action":"name/cos:*","resource":"*","condition":{"string_like":{"cos:x-cos-grant-read":"*"}}},
		{"effect":"deny","action":"name/cos:*","resource":"*","condition":{"string_like":{"cos:x-cos-grant-read-acp":"*"}}},
		{"effect":"deny","action":"name/cos:*","resource":"*","condition":{"string_like":{"cos:x-cos-grant-write-acp":"*"}}},
		{"effect":"deny","action":"name/cos:*","resource":"*","condition":{"string_like":{"cos:x-cos-grant-full-control":"*"}}}`
	goodBucket = `{"Version":"2.0","Statement":[{"Effect":"Allow","Principal":{"qcs":["qcs::cam::uin/100000000001:uin/100000000011"]},
		"Action":["name/cos:GetObject"],"Resource":["qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/bots/0xabc/*"],
		"Condition":{"bool_equal":{"cos:secure-transport":"true"}}}]}`
)

func edit(doc, old, new string) string {
	if strings.Count(doc, old) != 1 {
		panic(fmt.Sprintf("%q occurs %d times in the document", old, strings.Count(doc, old)))
	}
	return strings.Replace(doc, old, new, 1)
}

// one is a role policy with one statement, which requires TLS.
func one(action, resource, more string) string {
	return `{"version":"2.0","statement":[{"effect":"allow","action":` + action + `,"resource":` + resource +
		`,"condition":{"bool_equal":{"cos:secure-transport":"true"}` + more + `}}]}`
}

func object(path string) string {
	return one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/`+path+`"`, "")
}

func list(conditions string) string {
	return one(`"name/cos:GetBucket"`, `"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/*"`, conditions)
}

func trust(condition string) string {
	return edit(goodTrust, `"condition":{"string_equal":{"oidc:iss":"https://broker.example","oidc:aud":"vault","oidc:sub":"bot:0xabc"}}`, `"condition":`+condition)
}

// twoPrincipals is a bucket policy that gives each of two principals the objects of a tenant.
func twoPrincipals(a, b string) string {
	one := func(who, tenant string) string {
		return `{"effect":"allow","principal":{"qcs":["qcs::cam::uin/1:` + who + `"]},"action":"name/cos:GetObject",
			"resource":"qcs::cos:r:uid/1:b-1/bots/` + tenant + `/*","condition":{"bool_equal":{"cos:secure-transport":"true"}}}`
	}
	return `{"version":"2.0","statement":[` + one(a, "a") + "," + one(b, "b") + "]}"
}

// writer is a bucket policy that lets one principal write, and denies plain http and public headers to
// the given principals.
func writer(whom string) string {
	doc := `{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":["qcs::cam::uin/1:uin/2"]},"action":"name/cos:PutObject","resource":"qcs::cos:r:uid/1:b-1/bots/a/*"}`
	for _, cond := range []string{
		`"bool_equal":{"cos:secure-transport":"false"}`, `"string_like":{"cos:x-cos-acl":"*"}`, `"string_like":{"cos:x-cos-grant-read":"*"}`,
		`"string_like":{"cos:x-cos-grant-read-acp":"*"}`, `"string_like":{"cos:x-cos-grant-write-acp":"*"}`, `"string_like":{"cos:x-cos-grant-full-control":"*"}`,
	} {
		doc += `,{"effect":"deny",` + whom + `,"action":"name/cos:PutObject","resource":"qcs::cos:r:uid/1:b-1/*","condition":{` + cond + `}}`
	}
	return doc + "]}"
}

func check(t *testing.T, doc string, o tencent.CheckOptions) []string {
	t.Helper()
	docs, err := tencent.Parse("f.json", []byte(doc))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	var found []string
	for _, f := range tencent.Check(docs, o) {
		at := "-"
		if f.Statement != nil {
			at = fmt.Sprint(*f.Statement)
		}
		if f.File != "f.json" || f.Message == "" || f.Fix == "" || (f.Statement == nil) != (f.Weakness == tencent.OtherBucket) {
			t.Errorf("finding %+v", f)
		}
		found = append(found, at+" "+f.Weakness)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestCheck(t *testing.T) {
	const equal = `{"string_equal":{"oidc:iss":"https://broker.example","oidc:aud":"vault"`
	seen := make(map[string]bool)
	none := tencent.CheckOptions{}
	for _, tc := range []struct {
		name string
		doc  string
		o    tencent.CheckOptions
		want string // statement and weakness of each finding
	}{
		{"good trust", goodTrust, tencent.CheckOptions{Issuer: "https://broker.example", Audience: "vault"}, ""},
		{"good role", goodRole, tencent.CheckOptions{Bucket: "vault-1250000000"}, ""},
		{"good bucket", goodBucket, none, ""},

		// Who may assume.
		{"no subject", trust(equal + `}}`), none, "0 no_subject"},
		{"subject with a wildcard", trust(equal + `},"string_like":{"oidc:sub":"repo:acme/*"}}`), none, "0 wildcard_subject"},
		{"subject that matches everything", trust(equal + `},"string_like":{"oidc:sub":["bot:0xabc","*"]}}`), none, "0 wildcard_subject"},
		{"subject with string_like, no wildcard", trust(equal + `},"string_like":{"oidc:sub":"bot-0xabc"}}`), none, ""},
		{"subject pattern, and exact", trust(equal + `,"oidc:sub":"bot:0xabc"},"string_like":{"oidc:sub":"bot*"}}`), none, ""},
		{"literal star in the subject", trust(equal + `,"oidc:sub":"bot:*"}}`), none, ""},
		{"empty subject", trust(equal + `,"oidc:sub":""}}`), none, "0 wildcard_subject"},
		{"subject, ignoring case", trust(`{"string_equal":{"oidc:iss":"https://broker.example","oidc:aud":"vault"},"string_equal_ignore_case":{"oidc:sub":"bot:0xabc"}}`), none, "0 wildcard_subject"},
		{"variable as the subject", trust(equal + `,"oidc:sub":"${qcs:user}"}}`), none, "0 wildcard_subject"},
		{"shared subject", `{"tenants":{"a":{"trust_policy":` + goodTrust + `},"b":{"trust_policy":` + goodTrust + `}}}`, none, "0 shared_subject"},
		{"one subject per tenant", `{"tenants":{"a":{"trust_policy":` + goodTrust + `},"b":{"trust_policy":` + edit(goodTrust, "0xabc", "0xdef") + `}}}`, none, ""},
		{"shared subject, different operators", `{"tenants":{"a":{"trust_policy":` + goodTrust + `},"b":{"trust_policy":` + trust(equal+`},"string_like":{"oidc:sub":"bot:0xabc"}}`) + `}}}`, none, "0 shared_subject"},
		{"negated subject", trust(equal + `},"string_not_equal":{"oidc:sub":"bot:evil"}}`), none, "0 no_subject"},
		{"subject with if_exist", trust(equal + `},"string_equal_if_exist":{"oidc:sub":"bot:0xabc"}}`), none, "0 if_exists, 0 no_subject"},
		{"subject with for_all_value", trust(equal + `},"for_all_value:string_equal":{"oidc:sub":"bot:0xabc"}}`), none, "0 no_subject, 0 set_operator"},
		{"no condition", edit(goodTrust, `,
		"condition":{"string_equal":{"oidc:iss":"https://broker.example","oidc:aud":"vault","oidc:sub":"bot:0xabc"}}`, ""), none, "0 no_audience, 0 no_issuer, 0 no_subject"},
		{"no issuer condition", trust(`{"string_equal":{"oidc:aud":"vault","oidc:sub":"bot:0xabc"}}`), none, "0 no_issuer"},
		{"issuer pattern", trust(`{"string_like":{"oidc:iss":"https://*"},"string_equal":{"oidc:aud":"vault","oidc:sub":"bot:0xabc"}}`), none, "0 wrong_issuer"},
		{"wrong issuer", goodTrust, tencent.CheckOptions{Issuer: "https://broker.example/"}, "0 wrong_issuer"},
		{"no audience condition", trust(`{"string_equal":{"oidc:iss":"https://broker.example","oidc:sub":"bot:0xabc"}}`), none, "0 no_audience"},
		{"wrong audience", goodTrust, tencent.CheckOptions{Audience: "sts.amazonaws.com"}, "0 wrong_audience"},
		{"audience pattern", trust(`{"string_equal":{"oidc:iss":"https://broker.example","oidc:sub":"bot:0xabc"},"string_like":{"oidc:aud":"v*"}}`), none, "0 wrong_audience"},
		{"AssumeRole for tokens", edit(goodTrust, "AssumeRoleWithWebIdentity", "AssumeRole"), none, "0 excess_action"},
		{"all STS actions", edit(trust(equal+`}}`), "name/sts:AssumeRoleWithWebIdentity", "name/sts:*"), none, "0 broad_action, 0 no_subject"},
		{"any provider", edit(goodTrust, "oidc-provider/broker", "oidc-provider/*"), none, "0 any_provider"},
		{"SAML provider", edit(goodTrust, "oidc-provider/broker", "saml-provider/broker"), none, "0 any_provider"},
		{"account in addition to the provider", edit(goodTrust, `"federated":`, `"qcs":["qcs::cam::uin/100000000002:root"],"federated":`), none, "0 anyone_assumes"},
		{"account instead of the provider", edit(goodTrust, `"federated":["qcs::cam::uin/100000000001:oidc-provider/broker"]`, `"qcs":["qcs::cam::uin/100000000002:root"]`), none, "0 anyone_assumes"},
		{"every principal", edit(goodTrust, `{"federated":["qcs::cam::uin/100000000001:oidc-provider/broker"]}`, `"*"`), none, "0 anyone_assumes"},
		{"notaction in a trust policy", edit(goodTrust, `"action":"name/sts:AssumeRoleWithWebIdentity"`, `"notaction":"name/sts:GetFederationToken"`), none, "0 not_element"},

		// Lists.
		{"list without prefix", list(""), none, "0 list_without_prefix"},
		{"versions without prefix", edit(list(""), "cos:GetBucket", "cos:GetBucketObjectVersions"), none, "0 list_without_prefix"},
		{"uploads without prefix", edit(list(""), "cos:GetBucket", "cos:ListMultipartUploads"), none, "0 list_without_prefix"},
		{"list action on objects", edit(list(""), "1250000000/*", "1250000000/bots/a/*"), none, ""},
		{"list of another bucket", list(""), tencent.CheckOptions{Bucket: "other-1250000000"}, "- other_bucket"},
		{"list of all tenants", list(`,"string_like":{"cos:prefix":"bots%2F*"}`), none, "0 list_prefix_wide"},
		{"list of the root", list(`,"string_like":{"cos:prefix":["bots%2Fa%2F*",""]}`), none, "0 list_prefix_wide"},
		{"list of everything", list(`,"string_like":{"cos:prefix":"*"}`), none, "0 list_prefix_wide"},
		{"list prefix with a star at the start", list(`,"string_like":{"cos:prefix":"*%2Fcredentials%2F"}`), none, "0 list_prefix_wide"},
		{"list prefix without a slash at the end", list(`,"string_like":{"cos:prefix":"bots%2F0xab*"}`), none, "0 open_prefix"},
		{"list prefix, not encoded", list(`,"string_like":{"cos:prefix":"bots/0xabc/*"}`), none, "0 prefix_not_encoded"},
		{"list prefix, encoded in lower case", list(`,"string_like":{"cos:prefix":"bots%2f0xabc%2f*"}`), none, "0 prefix_not_encoded"},
		{"list prefix, invalid encoding", list(`,"string_like":{"cos:prefix":"bots%2"}`), none, "0 prefix_not_encoded"},
		{"list prefix with a variable", list(`,"string_like":{"cos:prefix":"bots%2F${uin}%2F*"}`), none, "0 other_variable"},
		{"list prefix with a tag", list(`,"string_like":{"cos:prefix":"bots%2F${qcs:principal_tag_value}%2F*"}`), none, "0 other_variable"},
		{"list prefix with if_exist", list(`,"string_like_if_exist":{"cos:prefix":"bots%2Fa%2F*"}`), none, "0 if_exists, 0 list_without_prefix"},
		{"list of all prefixes except one", list(`,"string_not_equal":{"cos:prefix":"bots%2Fadmin%2F"}`), none, "0 list_without_prefix"},
		{"two list conditions, one restrictive", list(`,"string_like":{"cos:prefix":"bots%2F*"},"string_equal":{"cos:prefix":"bots%2Fa%2F"}`), none, ""},

		// Objects.
		{"broad: everything", one(`"name/cos:GetObject"`, `"*"`, ""), none, "0 broad_allow"},
		{"broad: the whole bucket", object("*"), none, "0 broad_allow"},
		{"broad: all of bots", object("bots/*"), none, "0 broad_allow"},
		{"broad: prefix of bots", object("b*"), none, "0 broad_allow"},
		{"broad: one name in every tenant", object("bots/*/credentials/openai.enc"), none, "0 broad_allow"},
		{"broad: bucket pattern", one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uid/1250000000:*"`, ""), none, "0 broad_allow"},
		{"broad: all services", one(`"name/cos:GetObject"`, `"qcs::*:ap-hongkong:uid/1250000000:vault-1250000000/bots/a/*"`, ""), none, "0 broad_allow"},
		{"not broad: outside bots", object("public/*"), none, ""},
		{"prefix without a slash at the end", object("bots/0xab*"), none, "0 open_prefix"},
		{"prefix with a variable", object("bots/${uin}/*"), none, "0 other_variable"},
		{"one role for two tenants", one(`"name/cos:GetObject"`, `["qcs::cos:r:uid/1:b-1/bots/a/*","qcs::cos:r:uid/1:b-1/bots/b/*"]`, ""), none, "0 unbound_prefix"},
		{"one tenant's objects, another's list", edit(goodRole, "bots%2F0xabc%2F*", "bots%2F0xabd%2F*"), none, "1 unbound_prefix"},
		{"another tenant's objects", `{"tenants":{"a":{"role_policy":` + object("bots/b/*") + `}}}`, none, "0 unbound_prefix"},
		{"another tenant's list", `{"tenants":{"a":{"role_policy":` + list(`,"string_like":{"cos:prefix":"bots%2Fb%2F*"}`) + `}}}`, none, "0 unbound_prefix"},
		{"own objects", `{"tenants":{"a":{"role_policy":` + object("bots/a/*") + `}}}`, none, ""},
		{"all users of the account, and one user", twoPrincipals("uin/*", "uin/100000000011"), none, "0 public_allow, 0 unbound_prefix, 1 unbound_prefix"},
		{"one user, and all users of the account", twoPrincipals("uin/100000000011", "uin/*"), none, "1 public_allow, 1 unbound_prefix"},
		{"two users", twoPrincipals("uin/100000000011", "uin/100000000012"), none, ""},
		{"uin instead of uid in the resource", one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uin/100000000001:vault-1250000000/bots/a/*"`, ""), none, "0 wrong_owner"},
		{"no owner in the resource", one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong::vault-1250000000/bots/a/*"`, ""), none, "0 wrong_owner"},
		{"all COS actions", one(`"name/cos:*"`, `"qcs::cos:r:uid/1:b-1/bots/a/*"`, ""), none, "0 broad_action, 0 public_header"},
		{"all actions on all resources", one(`"*"`, `"*"`, ""), none, "0 broad_action, 0 broad_allow, 0 list_without_prefix, 0 public_header"},
		{"one KMS key", one(`["name/kms:Encrypt","kms:Decrypt"]`, `"qcs::kms:r-1:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41"`, ""), none, ""},
		{"further action on a KMS key", one(`["name/kms:Encrypt","kms:DisableKey"]`, `"qcs::kms:r-1:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41"`, ""), none, "0 excess_action"},
		{"all actions on a KMS key", one(`"kms:*"`, `"qcs::kms:r-1:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41"`, ""), none, "0 broad_action"},
		{"any KMS key", one(`"name/kms:Decrypt"`, `"qcs::kms:r-1:uin/100000000001:key/*"`, ""), none, "0 excess_action"},
		{"any KMS key of an account", one(`"name/kms:Decrypt"`, `"qcs::kms:r-1:uin/100000000001:key/creatorUin/100000000001/*"`, ""), none, "0 excess_action"},
		{"one KMS key, and any KMS key", one(`"name/kms:Decrypt"`, `["qcs::kms:r-1:uin/100000000001:key/creatorUin/100000000001/93866e69-9755-11ef-8e65-52540089bc41","qcs::kms:r-1:uin/100000000001:key/*"]`, ""), none, "0 excess_action"},
		{"PutObjectACL", one(`["name/cos:GetObject","name/cos:PutObjectACL"]`, `"qcs::cos:r:uid/1:b-1/bots/a/*"`, ""), none, "0 excess_action"},
		{"PutBucketPolicy", one(`"name/cos:PutBucketPolicy"`, `"qcs::cos:r:uid/1:b-1/*"`, ""), none, "0 excess_action"},
		{"PostObject", one(`"name/cos:PostObject"`, `"qcs::cos:r:uid/1:b-1/*"`, ""), none, "0 broad_allow, 0 excess_action"},
		{"not_action in a role policy", `{"version":"2.0","statement":{"effect":"allow","not_action":"name/cos:PutBucketACL","resource":"qcs::cos:r:uid/1:b-1/*"}}`, none,
			"0 broad_allow, 0 http_allowed, 0 list_without_prefix, 0 not_element, 0 public_header"},
		{"notresource", `{"version":"2.0","statement":{"effect":"allow","action":"name/cos:GetObject","notresource":"qcs::cos:r:uid/1:b-1/bots/b/*"}}`, none, "0 broad_allow, 0 not_element"},

		// Headers, plain http, public access.
		{"no TLS condition", edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), none, "0 http_allowed"},
		{"inverted TLS condition", edit(goodRole, `{"cos:secure-transport":true}`, `{"cos:secure-transport":false}`), none, "0 http_allowed"},
		{"http denied", edit(edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), `"statement":[`,
			`"statement":[{"effect":"deny","action":["cos:GetObject","cos:PutObject","cos:DeleteObject"],"resource":"*","condition":{"bool_equal":{"cos:secure-transport":"false"}}},`), none, ""},
		{"http denied for one action", edit(edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), `"statement":[`,
			`"statement":[{"effect":"deny","action":["cos:GetObject"],"resource":"*","condition":{"bool_equal":{"cos:secure-transport":"false"}}},`), none, "1 http_allowed"},
		{"http denied in another bucket", edit(edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), `"statement":[`,
			`"statement":[{"effect":"deny","action":"name/cos:*","resource":"qcs::cos:r:uid/1:b-1/*","condition":{"bool_equal":{"cos:secure-transport":"false"}}},`), none, "1 http_allowed"},
		{"http denied to anyone", writer(`"principal":{"qcs":["qcs::cam::anyone:anyone"]}`), none, "0 http_allowed, 0 public_header"},
		{"http denied with notprincipal", writer(`"notprincipal":{"qcs":["qcs::cam::uin/1:uin/3"]}`), none, "0 http_allowed, 0 public_header"},
		{"http denied to another user", writer(`"principal":{"qcs":["qcs::cam::uin/1:uin/3"]}`), none, "0 http_allowed, 0 public_header"},
		{"http denied to the writer", writer(`"principal":{"qcs":["qcs::cam::uin/1:uin/2"]}`), none, ""},
		{"http denied to all users", writer(`"principal":{"qcs":["qcs::cam::uin/1:uin/*"]}`), none, ""},
		{"public headers not denied", edit(goodRole, ","+denies, ""), none, "0 public_header"},
		{"one public ACL not denied", edit(goodRole, `,"authenticated-read"`, ""), none, "0 public_header"},
		{"one grant header not denied", edit(goodRole, "cos:x-cos-grant-full-control", "cos:x-cos-grant-write"), none, "0 public_header"},
		{"headers denied only in combination", edit(goodRole, `{"cos:x-cos-grant-read":"*"}`, `{"cos:x-cos-grant-read":"*","cos:x-cos-acl":"*"}`), none, "0 public_header"},
		{"all ACLs denied except private ones", edit(goodRole, `{"string_equal":{"cos:x-cos-acl":["public-read","public-read-write","authenticated-read"]}}`, `{"string_not_equal":{"cos:x-cos-acl":["private","default"]}}`), none, ""},
		{"all ACLs denied except a public one", edit(goodRole, `{"string_equal":{"cos:x-cos-acl":["public-read","public-read-write","authenticated-read"]}}`, `{"string_not_equal":{"cos:x-cos-acl":["private","public-read"]}}`), none, "0 public_header"},
		{"anyone in a bucket policy", edit(goodBucket, "qcs::cam::uin/100000000001:uin/100000000011", "qcs::cam::anyone:anyone"), none, "0 public_allow"},
		{"anonymous in a bucket policy", edit(goodBucket, "qcs::cam::uin/100000000001:uin/100000000011", "qcs::cam::anonymous:anonymous"), none, "0 public_allow"},
		{"all accounts in a bucket policy", edit(goodBucket, "uin/100000000001:uin/100000000011", "uin/*:uin/*"), none, "0 public_allow, 0 unbound_prefix"},
		{"star as the principal", edit(goodBucket, `{"qcs":["qcs::cam::uin/100000000001:uin/100000000011"]}`, `"*"`), none, "0 public_allow"},
		{"role in a bucket policy", edit(goodBucket, "uin/100000000011", "roleName/vault-0xabc"), none, "0 role_principal"},
		{"only deny statements", edit(goodBucket, "Allow", "Deny"), none, ""},
	} {
		got := check(t, tc.doc, tc.o)
		if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		for _, g := range got {
			_, id, _ := strings.Cut(g, " ")
			seen[id] = true
		}
	}
	for _, h := range tencent.Weaknesses() {
		if !seen[h.ID] && !strings.HasPrefix(h.ID, "audit_") { // see TestCheckAudit
			t.Errorf("no document has the weakness %s", h.ID)
		}
	}
}

// TestWeaknessIDs: ids are added, never changed, because scripts of users contain them.
func TestWeaknessIDs(t *testing.T) {
	want := []string{
		"list_without_prefix", "list_prefix_wide", "prefix_not_encoded", "open_prefix", "broad_allow", "broad_action", "excess_action",
		"unbound_prefix", "other_variable", "wrong_owner", "if_exists", "set_operator", "no_issuer", "wrong_issuer", "no_audience",
		"wrong_audience", "no_subject", "wildcard_subject", "shared_subject", "any_provider", "anyone_assumes", "public_allow", "public_header",
		"role_principal", "http_allowed", "not_element", "other_bucket", "audit_off", "audit_open", "audit_loop",
	}
	var got []string
	for _, h := range tencent.Weaknesses() {
		got = append(got, h.ID)
		if h.Meaning == "" || h.Fix == "" {
			t.Errorf("%s has no meaning or no fix", h.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhere(t *testing.T) {
	at := 2
	for _, tc := range []struct {
		f    tencent.Finding
		want string
	}{
		{tencent.Finding{Part: policy.RolePolicy, Tenant: "acme", Statement: &at, LowerCase: true}, "acme role_policy statement[2]"},
		{tencent.Finding{Part: policy.BucketPolicy, Statement: &at, Sid: "costs-1", LowerCase: true}, "bucket_policy statement[2] (costs-1)"},
	} {
		if got := tc.f.Where(); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
}
