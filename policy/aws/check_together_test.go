package aws_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy/aws"
)

// A file is a document and the name of its file.
type file struct{ name, doc string }

// weaknesses returns the findings of Check for files, as FILE WEAKNESS, sorted.
func weaknesses(t *testing.T, o aws.CheckOptions, files ...file) []string {
	t.Helper()
	var all []aws.Document
	for _, f := range files {
		docs, err := aws.Parse(f.name, []byte(f.doc))
		if err != nil {
			t.Fatalf("%v\n%s", err, f.doc)
		}
		all = append(all, docs...)
	}
	var got []string
	for _, f := range aws.Check(all, o) {
		got = append(got, f.File+" "+f.Weakness)
	}
	slices.Sort(got)
	return slices.Compact(got)
}

const roleARN = "arn:aws:iam::123456789012:role/"

// subjectTrust is a trust policy for one subject; own is a role policy for one tenant.
func subjectTrust(operator, subject string) string {
	aud, sub := `"broker.example:aud":"sts.amazonaws.com"`, `"broker.example:sub":"`+subject+`"`
	condition := `{"StringEquals":{` + aud + `},"` + operator + `":{` + sub + `}}`
	if operator == "StringEquals" {
		condition = `{"StringEquals":{` + aud + "," + sub + `}}`
	}
	return trust(`"sts:AssumeRoleWithWebIdentity"`, condition)
}

func own(tenants ...string) string {
	var list []string
	for _, tenant := range tenants {
		list = append(list, `{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::vault/bots/`+tenant+`/*"}`,
			`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault","Condition":{"StringLike":{"s3:prefix":"bots/`+tenant+`/*"}}}`)
	}
	return role(strings.Join(list, ","))
}

// Responses of the cloud's command.
func getRole(name, doc string) string {
	return `{"Role":{"Path":"/","RoleName":"` + name + `","Arn":"` + roleARN + name + `","AssumeRolePolicyDocument":` + doc + `}}`
}

func getRolePolicy(name, policyName, doc string) string {
	return `{"RoleName":"` + name + `","PolicyName":"` + policyName + `","PolicyDocument":` + doc + `}`
}

func getBucketPolicy(doc string) string { return `{"Policy":` + quoted(doc) + `}` }

// grant is a bucket policy with one statement.
func grant(principal, action, resource string) string {
	return bucket(`{"Effect":"Allow","Principal":` + principal + `,` + action + `,` + resource + `}`)
}

func read(principal, tenant string) string {
	return grant(principal, `"Action":"s3:GetObject"`, `"Resource":"arn:aws:s3:::vault/bots/`+tenant+`/*"`)
}

func arn(role string) string { return `{"AWS":"` + roleARN + role + `"}` }

// twoRoles are the documents of the roles of two tenants.
func twoRoles(more ...file) []file {
	return append([]file{
		{"trust-acme", getRole("vault-acme", subjectTrust("StringEquals", "acme"))}, {"acme", getRolePolicy("vault-acme", "own", own("acme"))},
		{"trust-globex", getRole("vault-globex", subjectTrust("StringEquals", "globex"))}, {"globex", getRolePolicy("vault-globex", "own", own("globex"))},
	}, more...)
}

// TestRoles: if each tenant has a role, only all documents together show whether the roles isolate
// tenants.
func TestRoles(t *testing.T) {
	detail := func(members string) string { return `{"RoleDetailList":[` + members + `],"IsTruncated":false}` }
	accountRole := func(name, subject, policies string) string {
		return `{"RoleName":"` + name + `","Arn":"` + roleARN + name + `","AssumeRolePolicyDocument":` + subjectTrust("StringEquals", subject) + `,` + policies + `}`
	}
	inline := func(name, doc string) string {
		return `"RolePolicyList":[{"PolicyName":"` + name + `","PolicyDocument":` + doc + `}]`
	}
	attached := func(name string) string {
		return `"AttachedManagedPolicies":[{"PolicyName":"` + name + `","PolicyArn":"arn:aws:iam::123456789012:policy/` + name + `"}]`
	}
	managed := func(name, doc string) string {
		return `{"PolicyName":"` + name + `","Arn":"arn:aws:iam::123456789012:policy/` + name + `","PolicyVersionList":[
			{"Document":` + role(`{"Effect":"Allow","Action":"*","Resource":"*"}`) + `,"VersionId":"v1","IsDefaultVersion":false},{"Document":` + doc + `,"VersionId":"v2","IsDefaultVersion":true}]}`
	}
	tenants := func(a, b string) string {
		return `{"tenants":{"acme":{"role_name":"r1","trust_policy":` + a + `},"globex":{"role_name":"r2","trust_policy":` + b + `}}}`
	}
	taggedTrust := func(tag string) string {
		return trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x","broker.example:sub":"s","aws:RequestTag/wallet":"`+tag+`"}}`)
	}
	for _, tc := range []struct {
		name  string
		o     aws.CheckOptions
		files []file
		want  string
	}{
		{"two roles", aws.CheckOptions{}, twoRoles(file{"bucket", goodBucket}), ""},
		{"two roles, bare documents", aws.CheckOptions{}, []file{{"t1", subjectTrust("StringEquals", "a")}, {"a", own("acme")}, {"t2", subjectTrust("StringEquals", "b")}, {"b", own("globex")}}, ""},

		// The same subject.
		{"shared subject, printed documents", aws.CheckOptions{}, []file{{"f", tenants(subjectTrust("StringEquals", "s"), subjectTrust("StringEquals", "s"))}}, "f shared_subject"},
		{"shared subject, different operators", aws.CheckOptions{}, []file{{"f", tenants(subjectTrust("StringEquals", "s"), subjectTrust("ForAnyValue:StringLike", "s"))}}, "f shared_subject"},
		{"shared subject in a list of subjects", aws.CheckOptions{}, []file{{"a", getRole("r1", subjectTrust("StringEquals", "s"))}, {"b", getRole("r2", strings.Replace(subjectTrust("StringEquals", "s"), `"s"`, `["r","s"]`, 1))}}, "b shared_subject"},
		{"shared subject, bare documents", aws.CheckOptions{}, []file{{"a", subjectTrust("StringEquals", "s")}, {"b", subjectTrust("StringEquals", "s")}}, "b shared_subject"},
		{"shared subject, output of get-role", aws.CheckOptions{}, []file{{"a", getRole("vault-acme", subjectTrust("StringEquals", "s"))}, {"b", getRole("vault-globex", subjectTrust("StringEquals", "s"))}}, "b shared_subject"},
		{"shared subject, output of list-roles", aws.CheckOptions{}, []file{{"a", `{"Roles":[{"RoleName":"vault-acme","AssumeRolePolicyDocument":` + subjectTrust("StringEquals", "s") + `},{"RoleName":"vault-globex","AssumeRolePolicyDocument":` + subjectTrust("StringEquals", "s") + `}]}`}}, "a shared_subject"},
		{"same subject, different issuers", aws.CheckOptions{}, []file{{"a", subjectTrust("StringEquals", "s")}, {"b", strings.ReplaceAll(subjectTrust("StringEquals", "s"), "broker.example", "other.example")}}, ""},
		{"same role twice", aws.CheckOptions{}, []file{{"a", getRole("r", subjectTrust("StringEquals", "s"))}, {"b", getRole("r", subjectTrust("StringEquals", "s"))}}, ""},
		{"two roles of one tenant", aws.CheckOptions{}, []file{{"a", getRole("r1", subjectTrust("StringEquals", "s"))}, {"b", getRole("r2", subjectTrust("StringEquals", "s"))},
			{"c", getRolePolicy("r1", "p", own("acme"))}, {"d", getRolePolicy("r2", "p", own("acme"))}}, ""},
		{"same subject, different tags", aws.CheckOptions{Isolation: aws.ByRole}, []file{{"a", taggedTrust("a")}, {"b", taggedTrust("b")}}, ""},
		{"same subject, same tag", aws.CheckOptions{Isolation: aws.ByRole}, []file{{"a", taggedTrust("a")}, {"b", taggedTrust("a")}}, "b shared_subject"},

		// Several policies of one role.
		{"two tenants in two policies of a role", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", getRolePolicy("vault", "two", own("globex"))}}, "b unbound_prefix"},
		{"two bare role policies, one trust policy", aws.CheckOptions{}, []file{{"t", subjectTrust("StringEquals", "s")}, {"a", own("acme")}, {"b", own("globex")}}, "b unbound_prefix"},
		{"two bare role policies", aws.CheckOptions{}, []file{{"a", own("acme")}, {"b", own("globex")}}, "b unbound_prefix"},
		{"inline policy and bare managed policy", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", `{"PolicyVersion":{"Document":` + own("globex") + `}}`}}, "b unbound_prefix"},
		{"two policies for one tenant", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", getRolePolicy("vault", "two", own("acme"))}}, ""},
		{"two tenants in two policies of a user", aws.CheckOptions{}, []file{{"a", `{"UserName":"u","PolicyName":"p","PolicyDocument":` + own("acme") + `}`}, {"b", `{"UserName":"u","PolicyName":"q","PolicyDocument":` + own("globex") + `}`}}, "b unbound_prefix"},
		{"role named like another tenant", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault-acme", "p", own("acme"))}, {"b", getRolePolicy("vault-globex", "p", own("acme"))}, {"c", getRolePolicy("x", "p", own("globex"))}}, "b unbound_prefix"},
		{"two inline policies", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault", "s", `"RolePolicyList":[{"PolicyName":"a","PolicyDocument":`+own("acme")+`},{"PolicyName":"b","PolicyDocument":`+own("globex")+`}]`))}}, "f unbound_prefix"},
		{"inline and managed policy", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault", "s", inline("a", own("acme"))+","+attached("more")) + `],"Policies":[` + managed("more", own("globex")) + `]}`}}, "f unbound_prefix"},
		{"inline and managed policy on two pages", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault", "s", inline("a", own("acme"))+","+attached("more")) + `],"IsTruncated":true}
			{"Policies":[` + managed("more", own("globex")) + `],"IsTruncated":false}`}}, "f unbound_prefix"},
		{"two managed policies, output of --query", aws.CheckOptions{}, []file{{"f", `[[` + accountRole("vault", "s", `"AttachedManagedPolicies":[{"PolicyName":"a","PolicyArn":"arn:aws:iam::123456789012:policy/a"},{"PolicyName":"b","PolicyArn":"arn:aws:iam::123456789012:policy/b"}]`) + `],[` + managed("a", own("acme")) + "," + managed("b", own("globex")) + `]]`}}, "f unbound_prefix"},
		{"user in two groups", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g","h"]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]},{"GroupName":"h",` + attached("more") + `}],"Policies":[` + managed("more", own("globex")) + `]}`}}, "f unbound_prefix"},
		{"user with a group and an inline policy", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g"],"UserPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("globex") + `}]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]}]}`}}, "f unbound_prefix"},
		{"one group per user", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g"]},{"UserName":"v","GroupList":["h"]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]},{"GroupName":"h","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("globex") + `}]}]}`}}, ""},
		{"account with one role per tenant", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault-acme", "a", attached("acme")) + "," + accountRole("vault-globex", "b", attached("globex")) + `],"Policies":[` + managed("acme", own("acme")) + "," + managed("globex", own("globex")) + `]}`}}, ""},
		{"account with a shared subject", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "s", inline("p", own("acme"))) + "," + accountRole("vault-globex", "s", inline("p", own("globex"))))}}, "f shared_subject"},
		{"account with unrelated roles", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"admin","GroupList":[]}],"RoleDetailList":[` + accountRole("vault-acme", "a", inline("p", own("acme"))) +
			`,{"RoleName":"lambda","AssumeRolePolicyDocument":` + role(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`) + `,` + inline("p", role(`{"Effect":"Allow","Action":["logs:*","iam:PassRole"],"Resource":"*"}`)) +
			`},` + accountRole("deploy", "a", inline("p", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::site/*"}`))) + `]}`}}, ""},
		{"account with a role that reads everything", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "a", inline("p", own("acme"))) + "," + accountRole("deploy", "b", inline("p", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`))))}}, "f broad_allow"},
		{"attached policy missing in the response", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "a", inline("p", own("acme"))+","+attached("more")))}}, "f unseen_policy"},

		// Bucket policies.
		{"bucket policy grants own prefix", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-acme"), "acme")}), ""},
		{"bucket policy grants another prefix", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-acme"), "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants another list", aws.CheckOptions{}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":` + arn("vault-acme") + `,"Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault","Condition":{"StringLike":{"s3:prefix":"bots/globex/*"}}}`)}), "bucket unbound_prefix"},
		{"get-bucket-policy grants another prefix, first file", aws.CheckOptions{}, append([]file{{"bucket", getBucketPolicy(read(arn("vault-acme"), "globex"))}}, twoRoles()...), "bucket unbound_prefix"},
		{"bucket policy grants one prefix to two roles", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":["`+roleARN+`vault-acme","`+roleARN+`vault-globex"]}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants another prefix to a session", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::123456789012:assumed-role/vault-acme/s"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants another prefix, role with path", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("team/vault-acme"), "globex")}), "bucket unbound_prefix"},
		{"bucket policy only, another prefix", aws.CheckOptions{}, []file{{"bucket", read(arn("vault-acme"), "globex")}}, "bucket unbound_prefix"},
		{"bucket policy only, one prefix to two roles", aws.CheckOptions{}, []file{{"bucket", read(`{"AWS":["`+roleARN+`vault-globex","`+roleARN+`vault-acme"]}`, "globex")}}, "bucket unbound_prefix"},
		{"bucket policy only, own prefix", aws.CheckOptions{}, []file{{"bucket", read(arn("vault-globex"), "globex")}}, ""},
		{"bucket policy grants to a role pattern", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-*"), "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants to an account", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:iam::210987654321:root"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants to an account id", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"210987654321"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants to every principal", aws.CheckOptions{}, twoRoles(file{"bucket", read(`"*"`, "globex")}), "bucket public_allow"},
		{"bucket policy grants to every principal, in a list", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":["`+roleARN+`vault-globex","*"]}`, "globex")}), "bucket public_allow"},
		{"bucket policy grants to the owner of the account", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:iam::123456789012:root"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants to every principal, with a condition", aws.CheckOptions{}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/globex/*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}`)}), "bucket public_allow"},
		{"bucket policy grants to a service", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"Service":"cloudfront.amazonaws.com"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy grants to every service", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"Service":"*"}`, "globex")}), "bucket unbound_prefix"},
		{"bucket policy with NotPrincipal", aws.CheckOptions{}, twoRoles(file{"bucket", strings.Replace(read(arn("vault-acme"), "globex"), `"Principal":{`, `"NotPrincipal":{`, 1)}), "bucket not_element"},
		{"bucket policy with NotAction", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("vault-acme"), `"NotAction":"s3:PutObject"`, `"Resource":"arn:aws:s3:::vault/bots/globex/*"`)}), "bucket not_element, bucket unbound_prefix"},
		{"bucket policy with NotResource", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("vault-acme"), `"Action":"s3:GetObject"`, `"NotResource":"arn:aws:s3:::vault/bots/acme/*"`)}), "bucket broad_allow, bucket not_element"},
		{"bucket policy grants two prefixes to one role", aws.CheckOptions{}, []file{{"bucket", grant(arn("agents"), `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/bots/acme/*","arn:aws:s3:::vault/bots/globex/*"]`)}}, "bucket unbound_prefix"},
		{"two bucket policies grant two prefixes to one role", aws.CheckOptions{}, []file{{"a", read(arn("x-acme-globex"), "acme")}, {"b", read(arn("x-acme-globex"), "globex")}}, "a unbound_prefix"},
		{"operator given", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", grant(arn("ops"), `"Action":"s3:*"`, `"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`)}), ""},
		{"operator not given", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("ops"), `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/*"]`)}), "bucket broad_allow"},
		{"operator and tenant in one statement", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", grant(`{"AWS":["`+roleARN+`ops","`+roleARN+`vault-acme"]}`, `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/*"]`)}), "bucket broad_allow"},
		{"operator reads one prefix", aws.CheckOptions{Operators: []string{"arn:aws:iam::123456789012:user/eve", roleARN + "ops"}}, twoRoles(file{"bucket", read(arn("ops"), "acme")}), ""},
		{"account given as operator", aws.CheckOptions{Operators: []string{"arn:aws:iam::210987654321:root"}}, twoRoles(file{"bucket", read(`{"AWS":"210987654321"}`, "globex")}), ""},
		{"session of the operator", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::123456789012:assumed-role/ops/eve"}`, "globex")}), ""},
		{"session of an operator in another account", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::210987654321:assumed-role/ops/eve"}`, "globex")}), "bucket unbound_prefix"},
		{"operator in a condition", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::vault/*","Condition":{"ArnEquals":{"aws:PrincipalArn":"` + roleARN + `ops"}}}`)}), ""},
		{"operator name is only a prefix", aws.CheckOptions{Operators: []string{roleARN + "op"}}, twoRoles(file{"bucket", read(arn("ops"), "acme")}), "bucket unbound_prefix"},
		{"role policy of the operator", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"ops", getRolePolicy("ops", "all", role(`{"Effect":"Allow","Action":"*","Resource":"*"}`))}), ""},
		{"operator may assume a role", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"more", getRole("vault-acme", role(`{"Effect":"Allow","Principal":`+arn("ops")+`,"Action":"sts:AssumeRole"}`))}), ""},
		{"service writes logs", aws.CheckOptions{}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/logs/*"]}`)}), ""},
	} {
		if g := strings.Join(weaknesses(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestPrintedGrant: the printed documents, and one more statement that gives the role of one
// tenant the prefix of another.
func TestPrintedGrant(t *testing.T) {
	for _, grants := range []aws.Grants{aws.InRole, aws.InBucket} {
		printed := generate(t, with(byRole(), func(o *aws.Options) { o.Grants = grants })).JSON()
		var doc map[string]any
		if err := json.Unmarshal(printed, &doc); err != nil {
			t.Fatal(err)
		}
		tenants := doc["tenants"].(map[string]any)
		var ids []string
		for id := range tenants {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		arns := []any{tenants[ids[0]].(map[string]any)["role_arn"], tenants[ids[1]].(map[string]any)["role_arn"]}
		for name, principals := range map[string][]any{"alone": arns[:1], "both": arns} {
			bucketPolicy := doc["bucket_policy"].(map[string]any)
			before := bucketPolicy["Statement"].([]any)
			bucketPolicy["Statement"] = append(slices.Clone(before), map[string]any{
				"Effect": "Allow", "Principal": map[string]any{"AWS": principals}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::vault/bots/" + ids[1] + "/*",
			})
			changed, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if got := weaknesses(t, aws.CheckOptions{}, file{"f", string(changed)}); fmt.Sprint(got) != "[f unbound_prefix]" {
				t.Errorf("%s, %s: %s", grants, name, got)
			}
			bucketPolicy["Statement"] = before
		}
	}
}

// TestOtherBucket: a policy that does not name the given bucket is reported, so that a typo in the name
// does not hide weaknesses.
func TestOtherBucket(t *testing.T) {
	logs := role(`{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"*"},{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"arn:aws:logs:eu-west-1:1:log-group:x"}`)
	onlyLogs := role(`{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"arn:aws:logs:eu-west-1:1:log-group:x"}`)
	assets := role(`{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::assets","arn:aws:s3:::assets/*"]}`)
	vault, typo := aws.CheckOptions{Bucket: "vault"}, aws.CheckOptions{Bucket: "vualt"}
	tls := func(resources string) string {
		return edit(goodBucket, `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, resources)
	}
	for _, tc := range []struct {
		name  string
		o     aws.CheckOptions
		files []file
		want  string
	}{
		{"typo in the bucket name", typo, twoRoles(file{"bucket", goodBucket}), "acme other_bucket, bucket other_bucket, globex other_bucket"},
		{"typo in the bucket name, weak policy", typo, []file{{"a", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::vault/*"}`)}}, "a other_bucket"},
		{"typo in the bucket name, by tag", typo, []file{{"t", goodTrust}, {"r", goodRole}, {"b", goodBucket}}, "b other_bucket, r other_bucket"},
		{"ARN as the bucket name", aws.CheckOptions{Bucket: "arn:aws:s3:::vault"}, []file{{"b", goodBucket}}, "b other_bucket"},
		{"bucket name in another case", aws.CheckOptions{Bucket: "Vault"}, []file{{"b", goodBucket}}, "b other_bucket"},
		{"correct bucket name", vault, twoRoles(file{"bucket", goodBucket}), ""},
		{"policy of another bucket", vault, twoRoles(file{"bucket", strings.ReplaceAll(goodBucket, "vault", "logs")}), "bucket other_bucket"},
		{"role for another bucket", vault, twoRoles(file{"other", getRolePolicy("site", "p", assets)}), "other other_bucket"},
		{"second policy of a role, for another bucket", vault, twoRoles(file{"other", getRolePolicy("vault-acme", "assets", assets)}), ""},
		{"second policy of a role, for logs", vault, twoRoles(file{"other", getRolePolicy("vault-acme", "logs", onlyLogs)}), ""},
		{"only a policy for logs", vault, []file{{"a", onlyLogs}}, "a other_bucket"},
		{"all resources", vault, []file{{"a", logs}}, ""},
		{"trust policy, which names no bucket", typo, []file{{"t", goodRoleTrust}}, ""},
		{"account details without the bucket", typo, []file{{"f", `{"RoleDetailList":[{"RoleName":"r","RolePolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]}]}`}}, "f other_bucket"},

		// Without the name of a bucket, the statements that allow access determine the buckets.
		{"another bucket denied", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::vault/*"},{"Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::old/bots/acme/*"}`)}}, "a broad_allow, a excess_action"},
		{"list of another bucket denied", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::vault/*"},{"Effect":"Deny","Action":"s3:ListBucket","Resource":"arn:aws:s3:::old","Condition":{"StringLike":{"s3:prefix":"bots/*"}}}`)}}, "a broad_allow, a excess_action"},
		{"pattern that includes bots, and another bucket", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::vault/b*","arn:aws:s3:::old/bots/acme/*"]}`)}}, "a broad_allow"},
		{"question mark that includes bots, and another bucket", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::vault/?ots/*","arn:aws:s3:::old/bots/acme/*"]}`)}}, "a broad_allow"},
		{"list that includes bots, and another bucket", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault","Condition":{"StringLike":{"s3:prefix":"bo*"}}},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::old/bots/acme/*"}`)}}, "a list_prefix_wide"},
		{"pattern that may include bots in another bucket only", aws.CheckOptions{}, []file{{"a", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::vault/*"},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::assets/b*"}`)}}, "a broad_allow, a excess_action"},
		{"home directories in another bucket", aws.CheckOptions{}, twoRoles(file{"a", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::homes/${aws:username}/*","arn:aws:s3:::site/*.html"]}`)}), ""},

		{"http denied to another bucket", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), "bucket http_allowed"},
		{"http denied to a bucket with a longer name", vault, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::vault-logs/*"]`)}), "bucket http_allowed"},
		{"http denied to a bucket and to objects of another", aws.CheckOptions{}, []file{{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::logs/*"]`)}}, "bucket http_allowed"},
		{"http denied to other buckets by a pattern", vault, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault/x","arn:aws:s3:::logs*"]`)}), "bucket http_allowed"},
		{"http denied to another bucket than the granted one", aws.CheckOptions{}, twoRoles(file{"bucket", strings.ReplaceAll(read(arn("vault-acme"), "acme"), `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), "bucket http_allowed"},
		{"http denied to both buckets", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::vault/*","arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), ""},
		{"http denied to all buckets", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::*"]`)}), ""},
	} {
		if g := strings.Join(weaknesses(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestUnrelated: statements about other services and buckets are weaknesses only if they affect tenants.
func TestUnrelated(t *testing.T) {
	beside := func(statement string) string { return edit(goodRole, `"Statement":[`, `"Statement":[`+statement+",") }
	vault, none := aws.CheckOptions{Bucket: "vault"}, aws.CheckOptions{}
	for _, tc := range []struct {
		name, doc string
		o         aws.CheckOptions
		want      string
	}{
		{"actions of other services", beside(`{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents","cloudwatch:PutMetricData","xray:Put*","ssmmessages:*","ec2:Describe*","secretsmanager:GetSecretValue"],"Resource":"*"}`), none, ""},
		{"log action among object actions", strings.Replace(goodRole, `"s3:GetObject",`, `"s3:GetObject","logs:PutLogEvents",`, 1), none, ""},
		{"read-only actions of STS, IAM and KMS", beside(`{"Effect":"Allow","Action":["sts:GetCallerIdentity","iam:GetRole","iam:List*","kms:DescribeKey"],"Resource":"*"}`), none, ""},
		{"AssumeRole on any role", beside(`{"Effect":"Allow","Action":["sts:AssumeRole"],"Resource":"*"}`), none, "0 excess_action"},
		{"PassRole on any role", beside(`{"Effect":"Allow","Action":["iam:PassRole"],"Resource":"*"}`), none, "0 excess_action"},
		{"read actions of any service", beside(`{"Effect":"Allow","Action":["*:Get*"],"Resource":"arn:aws:s3:::vault/public/*"}`), none, "0 excess_action"},
		{"reads another bucket", beside(`{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectTagging","s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::assets","arn:aws:s3:::assets/*"]}`), vault, ""},
		{"reads another bucket, no bucket name", beside(`{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::assets","arn:aws:s3:::assets/*"]}`), none, ""},
		{"reads other buckets by a pattern", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::assets-*/*","arn:aws:s3:::?ault-assets/*"]}`), none, ""},
		{"bucket pattern that includes the bucket", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::v*"]}`), none, "0 broad_allow"},
		{"bucket pattern with a question mark", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::vaul?/*"]}`), none, "0 broad_allow"},
		{"all actions on another bucket", beside(`{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::own","arn:aws:s3:::own/*"]}`), vault, ""},
		{"NotAction on another bucket", beside(`{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":["arn:aws:s3:::own/*"]}`), vault, ""},
		{"another bucket, every principal", bucket(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`), vault, ""},
		{"PutObjectAcl on both buckets", beside(`{"Effect":"Allow","Action":"s3:PutObjectAcl","Resource":["arn:aws:s3:::own/*","arn:aws:s3:::vault/public/*"]}`), vault, "0 excess_action"},

		{"guard with aws:TagKeys", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEquals":{"aws:TagKeys":"wallet"}`), none, ""},
		{"guard with aws:TagKeys, ignoring case", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEqualsIgnoreCase":{"aws:TagKeys":["Wallet"]}`), none, ""},
		{"guard with aws:TagKeys, StringLike", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringLike":{"aws:tagkeys":["wallet"]}`), none, ""},
		{"aws:TagKeys requires one of two tags", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEquals":{"aws:TagKeys":["wallet","team"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"aws:TagKeys only excludes other tags", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAllValues:StringEquals":{"aws:TagKeys":["wallet"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"aws:TagKeys with a pattern", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringLike":{"aws:TagKeys":["w*"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"aws:TagKeys with IfExists", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":["wallet"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"aws:TagKeys excludes other tags, and a guard", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"Null":{"aws:RequestTag/wallet":false},"ForAllValues:StringEquals":{"aws:TagKeys":["wallet"]}`), none, ""},
	} {
		if g := strings.Join(check(t, tc.doc, tc.o), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestCase: an operator that ignores case confuses one tenant with another.
func TestCase(t *testing.T) {
	byTag, byRole := aws.CheckOptions{Isolation: aws.ByTag}, aws.CheckOptions{Isolation: aws.ByRole}
	bound := func(operator string) string {
		return role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/acme/*","Condition":{` + operator + `:{"aws:PrincipalTag/wallet":"acme"},"Null":{"aws:PrincipalTag/wallet":"false"}}}`)
	}
	list := func(operator, value string) string {
		return role(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault","Condition":{"` + operator + `":{"s3:prefix":"` + value + `"}}}`)
	}
	for _, tc := range []struct {
		name, doc string
		o         aws.CheckOptions
		want      string
	}{
		{"subject, ignoring case", subjectTrust("StringEqualsIgnoreCase", "acme"), aws.CheckOptions{}, "0 wildcard_subject"},
		{"subject, ignoring case, ForAnyValue", subjectTrust("ForAnyValue:StringEqualsIgnoreCase", "acme"), byRole, "0 wildcard_subject"},
		{"subject, ignoring case, IfExists", subjectTrust("StringEqualsIgnoreCaseIfExists", "acme"), byRole, "0 if_exists, 0 no_subject, 0 wildcard_subject"},
		{"subject, ignoring case, ForAllValues", subjectTrust("ForAllValues:StringEqualsIgnoreCase", "acme"), byRole, "0 no_subject, 0 set_operator, 0 wildcard_subject"},
		{"subject, ignoring case, by tag", edit(goodTrust, `"Null":{`, `"StringEqualsIgnoreCase":{"broker.example:sub":"acme"},"Null":{`), aws.CheckOptions{}, "0 wildcard_subject"},
		{"subject, ignoring case, and exact", edit(goodRoleTrust, `"Condition":{`, `"Condition":{"StringEqualsIgnoreCase":{"broker.example:sub":"repo:acme/agents:ref:refs/heads/main"},`), aws.CheckOptions{}, ""},
		{"subject pattern, ForAnyValue", subjectTrust("ForAnyValue:StringLike", "repo:acme/*"), byRole, "0 wildcard_subject"},
		{"subject pattern, IfExists", subjectTrust("StringLikeIfExists", "repo:acme/*"), byRole, "0 if_exists, 0 no_subject"},
		{"subject pattern, and exact", edit(goodRoleTrust, `"Condition":{`, `"Condition":{"StringLike":{"broker.example:sub":"repo:acme/*"},`), aws.CheckOptions{}, ""},
		{"tag, ignoring case", bound(`"StringEqualsIgnoreCase"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"tag, ignoring case, ForAnyValue", bound(`"ForAnyValue:StringEqualsIgnoreCase"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"tag, ignoring case, IfExists", bound(`"StringEqualsIgnoreCaseIfExists"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"tag, ignoring case, at RGW", strings.Replace(goodRGWRole, `"StringEquals":{"aws:PrincipalTag`, `"StringEqualsIgnoreCase":{"aws:PrincipalTag`, 1), aws.CheckOptions{Dialect: aws.RGW}, "0 ignores_case, 0 unbound_prefix"},
		{"tag pattern", strings.Replace(bound(`"StringLike"`), `Tag/wallet":"acme"`, `Tag/wallet":"ac*"`, 1), byTag, "0 unbound_prefix"},
		{"tag with StringLike, no wildcard", bound(`"StringLike"`), byTag, ""},
		{"tag, ForAnyValue", bound(`"ForAnyValue:StringEquals"`), byTag, ""},
		{"tag in a trust policy, ignoring case, by role", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x"},"StringEqualsIgnoreCase":{"aws:RequestTag/wallet":"acme"}}`), byRole, "0 ignores_case"},
		{"tag in a trust policy, ignoring case, by tag", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x"},"StringEqualsIgnoreCase":{"aws:RequestTag/wallet":"acme"}}`), byTag, "0 ignores_case, 0 wildcard_tag"},
		{"list of bots, ignoring case", list("StringEqualsIgnoreCase", "BOTS/"), byRole, "0 list_prefix_wide"},
		{"list of a tenant, ignoring case", list("StringEqualsIgnoreCase", "Bots/Acme/"), byRole, ""},
	} {
		if g := strings.Join(check(t, tc.doc, tc.o), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}
