package aws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
)

// Documents without weaknesses that differ from the generated ones.
const (
	goodTrust = `{"Version":"2012-10-17","Statement":{"Sid":"T","Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/broker.example"},
		"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],
		"Condition":{"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},"Null":{"aws:RequestTag/wallet":false},
			"StringNotLike":{"aws:RequestTag/wallet":["*/*","*${*}*","*${?}*"]}}}}`
	goodRoleTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/broker.example"},
		"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"broker.example:aud":"sts.amazonaws.com","broker.example:sub":"repo:acme/agents:ref:refs/heads/main"}}}]}`
	goodRole = `{"Version":"2012-10-17","Statement":[
		{"Sid":"Objects","Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],
			"Resource":"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*","Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},
		{"Sid":"List","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault",
			"Condition":{"StringLike":{"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"},"Null":{"aws:PrincipalTag/wallet":"false"}}}]}`
	goodBucket = `{"Version":"2012-10-17","Statement":[{"Sid":"TLS","Effect":"Deny","Principal":"*","Action":"s3:*",
		"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	goodRGWRole = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::vault/bots/0xaaa/*"],"Condition":{"StringEquals":{"aws:PrincipalTag/wallet":"0xaaa"}}},
		{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::vault"],"Condition":{"StringEquals":{"aws:PrincipalTag/wallet":"0xaaa"},"StringLike":{"s3:prefix":"bots/0xaaa/*"}}}]}`
	goodRGWTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":["arn:aws:iam:::oidc-provider/127.0.0.1:18010"]},
		"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"127.0.0.1:18010:aud":"vault"},"StringLike":{"aws:RequestTag/wallet":"?*"}}}]}`
)

// denyTrust is a trust policy with a separate Deny statement.
var denyTrust = trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x"},"StringLike":{"aws:RequestTag/wallet":"?*"}},"Sid":"A"},
	{"Sid":"D","Effect":"Deny","Principal":"*","Action":"sts:*","Condition":{"StringLike":{"aws:RequestTag/wallet":["*/*","*${*}*","*${?}*"]}}`)

func edit(doc, old, new string) string {
	if strings.Count(doc, old) != 1 {
		panic(fmt.Sprintf("%q occurs %d times in the document", old, strings.Count(doc, old)))
	}
	return strings.Replace(doc, old, new, 1)
}

// role is a role policy with one statement, trust a trust policy with one.
func role(statement string) string {
	return `{"Version":"2012-10-17","Statement":[` + statement + `]}`
}

func trust(action, condition string) string {
	return role(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/broker.example"},"Action":` + action + `,"Condition":` + condition + `}`)
}

func bucket(statement string) string {
	return edit(goodBucket, `"Statement":[`, `"Statement":[`+statement+`,`)
}

// tagged is a bucket policy that gives principal access to the prefix of its tag.
func tagged(principal string) string {
	return bucket(`{"Effect":"Allow","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/*","Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}}`)
}

func check(t *testing.T, doc string, o aws.CheckOptions) []string {
	t.Helper()
	docs, err := aws.Parse("f.json", []byte(doc))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	var found []string
	for _, f := range aws.Check(docs, o) {
		if f.File != "f.json" || f.Message == "" || f.Fix == "" {
			t.Errorf("finding %+v", f)
		}
		at := "-"
		if f.Statement != nil {
			at = fmt.Sprint(*f.Statement)
		}
		found = append(found, at+" "+f.Weakness)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestCheck(t *testing.T) {
	seen := make(map[string]bool)
	rgw := aws.CheckOptions{Dialect: aws.RGW}
	byTag, byRole := aws.CheckOptions{Isolation: aws.ByTag}, aws.CheckOptions{Isolation: aws.ByRole}
	for _, tc := range []struct {
		name string
		doc  string
		o    aws.CheckOptions
		want string // statement and weakness of each finding
	}{
		{"good trust", goodTrust, aws.CheckOptions{Tag: "wallet", Audience: "sts.amazonaws.com"}, ""},
		{"good trust for a role per tenant", goodRoleTrust, byRole, ""},
		{"good role", goodRole, aws.CheckOptions{Tag: "Wallet", Bucket: "vault"}, ""},
		{"good bucket", goodBucket, aws.CheckOptions{Bucket: "vault"}, ""},
		{"good role at RGW", goodRGWRole, rgw, ""},
		{"good trust at RGW", goodRGWTrust, rgw, ""},

		// Lists.
		{"list without prefix", edit(goodRole, `"StringLike":{"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"},`, ""), byTag, "1 list_without_prefix"},
		{"list and objects in one statement", role(`{"Effect":"Allow","Action":["s3:ListBucket","s3:GetObject"],"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/*"],"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}}`), byTag, "0 list_without_prefix"},
		{"list with an action pattern", role(`{"Effect":"Allow","Action":"s3:List*","Resource":"arn:aws:s3:::vault"}`), byRole, "0 excess_action, 0 list_without_prefix"},
		{"versions without prefix", role(`{"Effect":"Allow","Action":"s3:ListBucketVersions","Resource":"arn:aws:s3:::vault"}`), byRole, "0 list_without_prefix"},
		{"list of another bucket", role(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::other"}`), aws.CheckOptions{Bucket: "vault"}, "- other_bucket"},
		{"list of all tenants", edit(goodRole, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"s3:prefix":["bots/*"]`), byTag, "1 list_prefix_wide"},
		{"list of bots/", edit(goodRole, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"s3:prefix":["bots/${aws:PrincipalTag/wallet}/*","bots/"]`), byTag, "1 list_prefix_wide"},
		{"list of the root", edit(goodRole, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"s3:prefix":["","bots/${aws:PrincipalTag/wallet}/*"]`), byTag, "1 list_prefix_wide"},
		{"list prefix without a slash at the end", edit(goodRole, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}*"`), byTag, "1 open_prefix"},
		{"list prefix with IfExists", edit(goodRole, `"StringLike":{"s3:prefix"`, `"StringLikeIfExists":{"s3:prefix"`), byTag, "1 if_exists, 1 list_without_prefix"},
		{"list prefix with ForAllValues", edit(goodRole, `"StringLike":{"s3:prefix"`, `"ForAllValues:StringLike":{"s3:prefix"`), byTag, "1 list_without_prefix, 1 set_operator"},
		{"list prefix with ForAnyValue", edit(goodRole, `"StringLike":{"s3:prefix"`, `"ForAnyValue:StringLike":{"s3:prefix"`), byTag, ""},
		{"list of all tenants with ForAnyValue", edit(goodRole, `"StringLike":{"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"}`, `"ForAnyValue:StringLike":{"s3:prefix":"bots/*"}`), byTag, "1 list_prefix_wide"},
		{"list of all prefixes except one", edit(goodRole, `"StringLike":{"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"}`, `"StringNotLike":{"s3:prefix":"bots/admin/*"}`), byTag, "1 list_without_prefix, 1 negated_missing"},
		{"two list conditions, one restrictive", edit(goodRole, `"StringLike":{"s3:prefix"`, `"StringEquals":{"s3:prefix":"bots/"},"StringLike":{"s3:prefix"`), byTag, ""},

		// Objects.
		{"broad: everything", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`), byTag, "0 broad_allow"},
		{"broad: the whole bucket", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"}`), byTag, "0 broad_allow"},
		{"broad: all of bots", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/*"}`), byRole, "0 broad_allow"},
		{"broad: prefix of bots", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/b*"}`), byRole, "0 broad_allow"},
		{"broad: one name in every tenant", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/*/credentials/openai.enc"}`), byRole, "0 broad_allow"},
		{"broad: bucket pattern", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::va*"}`), byRole, "0 broad_allow"},
		{"broad: service pattern", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s*:::vault/*"}`), byRole, "0 broad_allow"},
		{"broad: access point", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:eu-west-1:123456789012:accesspoint/a/object/*"}`), byRole, "0 broad_allow"},
		{"not broad: outside bots", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/public/*"}`), byRole, ""},
		{"prefix without a slash at the end, by tag", edit(goodRole, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}*"`), byTag, "0 open_prefix"},
		{"prefix without a slash at the end", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/0xab*"}`), byRole, "0 open_prefix"},
		{"one tenant's prefix for all tags", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/0xabc/*","Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}}`), aws.CheckOptions{}, "0 unbound_prefix"},
		{"one tenant's prefix for another tag", edit(goodRGWRole, `"Resource":["arn:aws:s3:::vault/bots/0xaaa/*"]`, `"Resource":["arn:aws:s3:::vault/bots/0xbbb/*"]`), rgw, "0 unbound_prefix"},
		{"one role for two tenants", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::vault/bots/a/*","arn:aws:s3:::vault/bots/b/*"]}`), byRole, "0 unbound_prefix"},
		{"prefix from the session name", edit(goodRole, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"arn:aws:s3:::vault/bots/${aws:userid}/*"`), byTag, "0 other_variable"},
		{"other tag than the option", goodRole, aws.CheckOptions{Tag: "team"}, "0 other_variable, 1 other_variable"},
		{"default value for a missing tag", edit(goodRole, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet, '0xabc'}/*"`), byTag, "0 other_variable"},
		{"whole prefix from a tag", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/${aws:PrincipalTag/prefix}*"}`), byTag, "0 other_variable"},

		// The tag.
		{"no tag guard in the role policy", edit(goodRole, `,"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `},`), byTag, "0 no_tag_guard"},
		{"StringNotEquals, true if the tag is missing", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"StringNotEquals":{"aws:PrincipalTag/wallet":""}}},`), byTag, "0 negated_missing, 0 no_tag_guard"},
		{"StringNotEquals with a guard", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"StringNotEquals":{"aws:PrincipalTag/wallet":""},"Null":{"aws:PrincipalTag/wallet":"false"}}},`), byTag, ""},
		{"inverted guard", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"true"}}},`), byTag, "0 inverted_null, 0 no_tag_guard"},
		{"guard with IfExists", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"StringLikeIfExists":{"aws:PrincipalTag/wallet":"?*"}}},`), byTag, "0 if_exists, 0 no_tag_guard"},
		{"guard with ForAllValues", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"ForAllValues:StringLike":{"aws:PrincipalTag/wallet":"?*"}}},`), byTag, "0 no_tag_guard, 0 set_operator"},
		{"ForAnyValue and StringNotEquals with a guard", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"ForAnyValue:StringNotEquals":{"aws:PrincipalTag/wallet":"x"},"Null":{"aws:PrincipalTag/wallet":"false"}}},`), byTag, "0 set_operator"},
		{"guard with StringLike", edit(goodRole, `"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `"Condition":{"StringLike":{"aws:principaltag/Wallet":"?*"}}},`), byTag, ""},
		{"no TagSession", edit(goodTrust, `,"sts:TagSession"`, ``), aws.CheckOptions{}, "0 no_tag_session"},
		{"TagSession in another statement", trust(`"sts:AssumeRoleWithWebIdentity"`, `{"StringEquals":{"broker.example:aud":"x","aws:RequestTag/wallet":"0xaaa"}}},
			{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/broker.example"},"Action":"sts:TagSession","Condition":{}`), byTag, ""},
		{"no tag guard in the trust policy", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false},`, ``), aws.CheckOptions{}, "0 negated_missing, 0 no_tag_guard"},
		{"inverted guard in the trust policy", edit(goodTrust, `"aws:RequestTag/wallet":false`, `"aws:RequestTag/wallet":true`), aws.CheckOptions{}, "0 inverted_null, 0 negated_missing, 0 no_tag_guard"},
		{"no condition on the tag", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"sts.amazonaws.com"}}`), aws.CheckOptions{}, "0 no_tag_guard, 0 wildcard_tag"},
		{"wildcards in tags", edit(goodTrust, `,
			"StringNotLike":{"aws:RequestTag/wallet":["*/*","*${*}*","*${?}*"]}`, ``), aws.CheckOptions{}, "0 wildcard_tag"},
		{"wildcards denied without escapes", edit(goodTrust, `"*${*}*","*${?}*"`, `"***","*?*"`), aws.CheckOptions{}, "0 wildcard_tag"},
		{"wildcards denied in another statement", denyTrust, aws.CheckOptions{}, ""},
		{"guard of another tag", edit(goodRole, `,"Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}},`, `,"Condition":{"Null":{"aws:PrincipalTag/team":"false"}}},`), byTag, "0 no_tag_guard"},
		{"two tags in the role policy", edit(goodRole, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*","Condition":{"Null":{"aws:PrincipalTag/wallet":"false"}}`, `"arn:aws:s3:::vault/bots/${aws:PrincipalTag/team}/credentials/*","Condition":{"Null":{"aws:PrincipalTag/team":"false"}}`), byTag, "1 other_variable"},
		{"trust policy guards another tag", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"Null":{"aws:RequestTag/team":false}`), byTag, "0 negated_missing, 0 no_tag_guard"},
		{"second required tag", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"Null":{"aws:RequestTag/actor":false,"aws:RequestTag/wallet":false}`), byTag, ""},
		{"two tags at RGW", edit(goodRGWRole, `{"StringEquals":{"aws:PrincipalTag/wallet":"0xaaa"},"StringLike"`, `{"StringEquals":{"aws:PrincipalTag/team":"0xaaa"},"StringLike"`), rgw, "1 unbound_prefix"},
		{"wildcards denied to one user", edit(denyTrust, `"Principal":"*"`, `"Principal":{"AWS":"arn:aws:iam::123456789012:user/eve"}`), aws.CheckOptions{}, "0 wildcard_tag"},
		{"wildcards denied to tokens of another issuer", edit(denyTrust, `"Principal":"*"`, `"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/other.example"}`), aws.CheckOptions{}, "0 wildcard_tag"},
		{"wildcards denied to all users except one", edit(denyTrust, `"Principal":"*"`, `"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/eve"}`), aws.CheckOptions{}, "0 wildcard_tag"},
		{"wildcards denied to tokens of the issuer", edit(denyTrust, `"Principal":"*"`, `"Principal":{"Federated":["arn:aws:iam::123456789012:oidc-provider/other.example","arn:aws:iam::123456789012:oidc-provider/broker.example"]}`), aws.CheckOptions{}, ""},
		{"literal tags", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x","aws:RequestTag/wallet":["0xaaa","0xbbb"]}}`), byTag, ""},

		// Who may assume.
		{"no audience condition", edit(goodTrust, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},`, ``), aws.CheckOptions{}, "0 no_audience"},
		{"wrong audience", goodTrust, aws.CheckOptions{Audience: "vault"}, "0 wrong_audience"},
		{"audience pattern", edit(goodTrust, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},`, `"StringLike":{"broker.example:aud":"*"},`), aws.CheckOptions{}, "0 wrong_audience"},
		{"audience of another issuer", edit(goodTrust, `"broker.example:aud"`, `"accounts.google.com:aud"`), aws.CheckOptions{}, "0 wrong_audience"},
		{"negated audience", edit(goodTrust, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},`, `"StringNotEquals":{"broker.example:aud":"x"},`), aws.CheckOptions{}, "0 negated_missing, 0 no_audience"},
		{"no subject", edit(goodRoleTrust, `,"broker.example:sub":"repo:acme/agents:ref:refs/heads/main"`, ``), aws.CheckOptions{}, "0 no_subject"},
		{"subject with a wildcard", edit(goodRoleTrust, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com","broker.example:sub":"repo:acme/agents:ref:refs/heads/main"}`, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},"StringLike":{"broker.example:sub":"repo:acme/*"}`), byRole, "0 wildcard_subject"},
		{"subject with StringLike, no wildcard", edit(goodRoleTrust, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com","broker.example:sub":"repo:acme/agents:ref:refs/heads/main"}`, `"StringEquals":{"broker.example:aud":"sts.amazonaws.com"},"StringLike":{"broker.example:sub":"repo:acme/a"}`), byRole, ""},
		{"subject with IfExists", edit(goodRoleTrust, `"StringEquals"`, `"StringEqualsIfExists"`), byRole, "0 if_exists, 0 no_subject"},
		{"subject of another issuer", edit(goodRoleTrust, `"broker.example:sub"`, `"other.example:sub"`), byRole, "0 no_subject"},
		{"role for one tag", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x","aws:RequestTag/wallet":"0xaaa"}}`), aws.CheckOptions{}, ""},
		{"any provider", edit(goodTrust, `oidc-provider/broker.example`, `oidc-provider/*`), aws.CheckOptions{}, "0 any_provider"},
		{"any federated principal", edit(goodTrust, `"arn:aws:iam::123456789012:oidc-provider/broker.example"`, `"*"`), aws.CheckOptions{}, "0 any_provider"},
		{"any principal", edit(goodTrust, `{"Federated":"arn:aws:iam::123456789012:oidc-provider/broker.example"}`, `"*"`), aws.CheckOptions{}, "0 anyone_assumes"},
		{"account may assume with its own tags", role(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["sts:AssumeRole","sts:TagSession"]}`), aws.CheckOptions{}, "0 anyone_assumes, 0 excess_action"},
		{"account in addition to the provider", edit(goodTrust, `{"Federated":`, `{"AWS":"arn:aws:iam::123456789012:root","Federated":`), aws.CheckOptions{}, "0 anyone_assumes"},
		{"all STS actions", edit(goodTrust, `["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `"sts:*"`), aws.CheckOptions{}, "0 excess_action"},

		{"one subject for two tenants", `{"tenants":{"a":{"trust_policy":` + goodRoleTrust + `},"b":{"trust_policy":` + goodRoleTrust + `}}}`, byRole, "0 shared_subject"},
		{"tag, ignoring case", edit(goodTrust, `"Null":{`, `"StringEqualsIgnoreCase":{"aws:RequestTag/wallet":"a"},"Null":{`), byTag, "0 ignores_case"},

		// What is allowed.
		{"attached policy missing in the response", `{"RoleDetailList":[{"RoleName":"r","RolePolicyList":[{"PolicyName":"p","PolicyDocument":` + role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/a/*"}`) + `}],"AttachedManagedPolicies":[{"PolicyName":"q","PolicyArn":"arn:aws:iam::1:policy/q"}]}]}`, byRole, "- unseen_policy"},
		{"all actions", edit(goodRole, `["s3:GetObject","s3:PutObject","s3:DeleteObject"]`, `"s3:*"`), byTag, "0 excess_action"},
		{"purge", edit(goodRole, `"s3:DeleteObject"]`, `"s3:DeleteObject","s3:DeleteObjectVersion"]`), byTag, "0 excess_action"},
		{"purge with AllowPurge", edit(goodRole, `"s3:DeleteObject"]`, `"s3:DeleteObject","s3:DeleteObjectVersion"]`), aws.CheckOptions{AllowPurge: true}, ""},
		{"PutObjectAcl", edit(goodRole, `"s3:DeleteObject"]`, `"s3:DeleteObject","s3:PutObjectAcl"]`), byTag, "0 excess_action"},
		{"PutBucketPolicy", role(`{"Effect":"Allow","Action":["s3:PutBucketPolicy"],"Resource":"arn:aws:s3:::vault"}`), byTag, "0 excess_action"},
		{"all IAM actions", role(`{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}`), byTag, "0 excess_action"},
		{"all actions on all resources", role(`{"Effect":"Allow","Action":"*","Resource":"*"}`), byTag, "0 broad_allow, 0 excess_action, 0 list_without_prefix"},
		{"any KMS key", role(`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":"*"}`), byTag, "0 excess_action"},
		{"KMS key from a variable", role(`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":"arn:aws:kms:eu-west-1:123456789012:key/${aws:PrincipalTag/wallet}"}`), byTag, "0 excess_action"},
		{"KMS key of a key source", role(`{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"arn:aws:kms:eu-west-1:123456789012:key/a-b"}`), byTag, ""},
		{"any KMS key of the account", role(`{"Effect":"Allow","Action":["kms:Encrypt"],"Resource":"arn:aws:kms:eu-west-1:123456789012:key/*"}`), byTag, "0 excess_action"},
		{"further action on a KMS key", role(`{"Effect":"Allow","Action":["kms:Encrypt","kms:ReEncryptFrom"],"Resource":"arn:aws:kms:eu-west-1:123456789012:key/a-b"}`), byTag, "0 excess_action"},
		{"KMS key of the bucket", role(`{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:eu-west-1:123456789012:key/a-b"}`), byTag, ""},
		{"NotAction", role(`{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":"arn:aws:s3:::vault/bots/a/*"}`), byRole, "0 not_element"},
		{"NotResource", role(`{"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::vault/admin/*"}`), byRole, "0 broad_allow, 0 not_element"},
		{"NotPrincipal", bucket(`{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/eve"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/public/*"}`), byRole, "0 not_element"},
		{"public bucket policy", bucket(`{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/public/*"}`), byRole, "0 public_allow"},
		{"role in the bucket policy", tagged(`{"AWS":["arn:aws:iam::123456789012:role/vault"]}`), byTag, ""},
		{"account in the bucket policy", tagged(`{"AWS":"arn:aws:iam::123456789012:root"}`), byTag, "0 other_principal"},
		{"account id in the bucket policy", tagged(`{"AWS":"123456789012"}`), byTag, "0 other_principal"},
		{"user in the bucket policy", tagged(`{"AWS":["arn:aws:iam::123456789012:role/vault","arn:aws:iam::123456789012:user/eve"]}`), byTag, "0 other_principal"},
		{"canonical user in the bucket policy", tagged(`{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`), byTag, "0 other_principal"},
		{"every service in the bucket policy", tagged(`{"Service":"*"}`), byTag, "0 other_principal"},
		{"every principal with a tag", tagged(`"*"`), byTag, "0 public_allow"},
		{"account in the bucket policy, outside bots", bucket(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/public/*"}`), byTag, ""},
		{"broad Deny is no weakness", bucket(`{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":["arn:aws:s3:::vault/bots/*"]}`), byRole, ""},
		{"variables in version 2008-10-17", edit(goodRole, `"2012-10-17"`, `"2008-10-17"`), byTag, "- old_version"},
		{"variables without a version", edit(goodTrust, `"Version":"2012-10-17",`, ``), byTag, "- old_version"},
		{"version 2008-10-17 without variables", edit(goodBucket, `"2012-10-17"`, `"2008-10-17"`), byTag, ""},

		// Plain http.
		{"http allowed", edit(goodBucket, `"Deny"`, `"Allow"`), byRole, "- http_allowed, 0 broad_allow, 0 excess_action, 0 list_without_prefix, 0 public_allow"},
		{"http denied only to the bucket", edit(goodBucket, `,"arn:aws:s3:::vault/*"`, ``), byRole, "- http_allowed"},
		{"http denied only to objects", edit(goodBucket, `"arn:aws:s3:::vault",`, ``), byRole, "- http_allowed"},
		{"http denied to one role", edit(goodBucket, `"Principal":"*"`, `"Principal":{"AWS":"arn:aws:iam::123456789012:role/vault"}`), byRole, "- http_allowed"},
		{"http denied for PutObject", edit(goodBucket, `"s3:*"`, `"s3:PutObject"`), byRole, "- http_allowed"},
		{"inverted SecureTransport", edit(goodBucket, `"aws:SecureTransport":"false"`, `"aws:SecureTransport":"true"`), byRole, "- http_allowed"},
		{"http denied outside a network", edit(goodBucket, `"Condition":{`, `"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"},`), byRole, "- http_allowed"},
		{"policy of another bucket", goodBucket, aws.CheckOptions{Bucket: "other"}, "- other_bucket"},
		{"policy without SecureTransport", bucket(`{"Effect":"Deny","Principal":"*","Action":"s3:DeleteBucket","Resource":"arn:aws:s3:::other"}`), aws.CheckOptions{Bucket: "other"}, "- http_allowed"},
		{"http denied to all resources", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"*"`), byRole, ""},
		{"http denied by a pattern", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"arn:aws:s3:::vault*"`), aws.CheckOptions{Bucket: "vault"}, ""},
		{"http denied by a pattern of objects", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"arn:aws:s3:::vault*/*"`), aws.CheckOptions{Bucket: "vault"}, "- http_allowed"},
		{"http denied by a pattern of objects, no bucket name", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"arn:aws:s3:::*/*"`), byRole, "- http_allowed"},
		{"http denied by a pattern of buckets", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"arn:aws:s3:::vaul?"`), aws.CheckOptions{Bucket: "vault"}, "- http_allowed"},
		{"http denied by two patterns", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `["arn:aws:s3:::vault*/*","arn:aws:s3:::vaul?"]`), aws.CheckOptions{Bucket: "vault"}, ""},
		{"http denied by a pattern, no bucket name", edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `"arn:aws:s3:::vault*"`), byRole, ""},

		// RGW.
		{"Null guard in a trust policy at RGW", edit(goodRGWTrust, `"StringLike":{"aws:RequestTag/wallet":"?*"}`, `"Null":{"aws:RequestTag/wallet":"false"}`), rgw, "0 no_tag_guard, 0 rgw_null"},
		{"Null guard in a role policy at RGW", edit(goodRGWRole, `"StringEquals":{"aws:PrincipalTag/wallet":"0xaaa"}}}`, `"StringEquals":{"aws:PrincipalTag/wallet":"0xaaa"},"Null":{"aws:PrincipalTag/wallet":"false"}}}`), rgw, "0 rgw_null"},
		{"variable at RGW", goodRole, rgw, "0 no_tag_guard, 0 rgw_null, 0 rgw_variable, 1 no_tag_guard, 1 rgw_null, 1 rgw_variable"},
		{"TLS not required at RGW", edit(goodBucket, `"aws:SecureTransport":"false"`, `"aws:SecureTransport":"true"`), rgw, ""},
		{"Bool false at RGW", goodBucket, aws.CheckOptions{Dialect: aws.RGW, TLS: true}, "- http_allowed"},
		{"BoolIfExists false at RGW", edit(goodBucket, `"Bool"`, `"BoolIfExists"`), aws.CheckOptions{Dialect: aws.RGW, TLS: true}, ""},
	} {
		got := check(t, tc.doc, tc.o)
		if g := strings.Join(got, ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
		for _, finding := range got {
			_, id, _ := strings.Cut(finding, " ")
			seen[id] = true
		}
	}
	for _, h := range aws.Weaknesses() {
		if !seen[h.ID] && !strings.HasPrefix(h.ID, "audit_") { // see TestCheckAudit
			t.Errorf("no document has the weakness %s", h.ID)
		}
	}
}

// TestWeaknessIDs is a literal copy of the ids, which are never renamed.
func TestWeaknessIDs(t *testing.T) {
	want := strings.Fields(`list_without_prefix list_prefix_wide open_prefix broad_allow unbound_prefix other_variable negated_missing
		no_tag_session no_tag_guard inverted_null wildcard_tag ignores_case if_exists set_operator no_audience wrong_audience no_subject
		wildcard_subject shared_subject any_provider anyone_assumes public_allow other_principal http_allowed excess_action not_element old_version
		other_bucket unseen_policy rgw_null rgw_variable audit_off audit_open audit_loop`)
	var got []string
	for _, h := range aws.Weaknesses() {
		got = append(got, h.ID)
		if h.Meaning == "" || h.Fix == "" {
			t.Errorf("%s has no meaning or no fix", h.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestInference: whether tags or roles isolate tenants is inferred from all documents together.
func TestInference(t *testing.T) {
	literal := role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/acme/*"}`)
	for _, tc := range []struct {
		docs []string
		want string
	}{
		{[]string{goodTrust, goodRole, goodBucket}, ""},
		{[]string{goodRoleTrust, literal, goodBucket}, ""},
		{[]string{literal}, ""},
		{[]string{literal, goodTrust}, "unbound_prefix"},
		{[]string{goodRole, goodRoleTrust}, "no_tag_guard no_tag_session wildcard_tag"},
	} {
		var all []aws.Document
		for _, doc := range tc.docs {
			docs, err := aws.Parse("f", []byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, docs...)
		}
		var got []string
		for _, f := range aws.Check(all, aws.CheckOptions{}) {
			got = append(got, f.Weakness)
		}
		slices.Sort(got)
		if g := strings.Join(slices.Compact(got), " "); g != tc.want {
			t.Errorf("%s: %s, want %s", tc.docs, g, tc.want)
		}
	}
}

// TestTogether: weaknesses that no document shows on its own.
func TestTogether(t *testing.T) {
	acme := `"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/acme/*"}]`
	share := func(tenant string) string { return `{"tenants":{"` + tenant + `":{"role_policy":{` + acme + `}}}}` }
	otherTrust := strings.ReplaceAll(goodTrust, "RequestTag/wallet", "RequestTag/team")
	for _, tc := range []struct {
		name string
		docs []string
		o    aws.CheckOptions
		want string
	}{
		{"role of a tenant", []string{share("acme")}, aws.CheckOptions{}, ""},
		{"role of a tenant reaches another tenant", []string{share("globex")}, aws.CheckOptions{}, "unbound_prefix: globex can access acme"},
		{"trust policy guards an unused tag", []string{goodRole, otherTrust}, aws.CheckOptions{}, "no_tag_guard: tokens without the tag wallet, wildcard_tag: values with *, wildcard_tag: values with /, wildcard_tag: values with ?"},
		{"trust policy guards an unused tag, tag given", []string{goodRole, otherTrust}, aws.CheckOptions{Tag: "wallet"}, "no_tag_guard: tokens without the tag wallet, wildcard_tag: values with *, wildcard_tag: values with /, wildcard_tag: values with ?"},
		{"trust policy guards an unused tag at RGW", []string{goodRGWRole, strings.ReplaceAll(goodRGWTrust, "RequestTag/wallet", "RequestTag/team")}, aws.CheckOptions{Dialect: aws.RGW}, "no_tag_guard: tokens without the tag wallet"},
		{"second role with another tag", []string{goodTrust, goodRole, strings.ReplaceAll(goodRole, "wallet", "team")}, aws.CheckOptions{},
			"other_variable: arn:aws:s3:::vault/bots/${aws:PrincipalTag/team}/credentials/*, other_variable: s3:prefix bots/${aws:PrincipalTag/team}/credentials/*"},
		{"one tag", []string{goodTrust, goodRole, goodBucket}, aws.CheckOptions{}, ""},
		{"one tag in different cases", []string{goodTrust, strings.ReplaceAll(goodRole, "PrincipalTag/wallet", "principaltag/Wallet")}, aws.CheckOptions{}, ""},
	} {
		var all []aws.Document
		for i, doc := range tc.docs {
			docs, err := aws.Parse(fmt.Sprint(i), []byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, docs...)
		}
		var got []string
		for _, f := range aws.Check(all, tc.o) {
			got = append(got, f.Weakness+f.Message[strings.Index(f.Message, ":"):])
		}
		slices.Sort(got)
		if g := strings.Join(got, ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

func TestFinding(t *testing.T) {
	docs, err := aws.Parse("role.json", []byte(edit(goodRole, `"s3:prefix":"bots/${aws:PrincipalTag/wallet}/credentials/*"`, `"s3:prefix":["bots/*"]`)))
	if err != nil {
		t.Fatal(err)
	}
	at := 1
	want := []aws.Finding{{
		File: "role.json", Part: policy.RolePolicy, Statement: &at, Sid: "List", Weakness: aws.ListPrefixWide,
		Message: `an Allow of ListBucket whose s3:prefix includes other tenants: s3:prefix "bots/*"`, Fix: "let s3:prefix start with bots/${aws:PrincipalTag/TAG}/",
	}}
	got := aws.Check(docs, aws.CheckOptions{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if where := got[0].Where(); where != "role_policy Statement[1] (List)" {
		t.Errorf("where: %s", where)
	}
}
