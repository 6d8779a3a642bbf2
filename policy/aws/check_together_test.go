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

// holes returns the findings of Check for files, as FILE WEAKNESS, sorted.
func holes(t *testing.T, o aws.CheckOptions, files ...file) []string {
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

// grant is a statement of a bucket policy.
func grant(principal, action, resource string) string {
	return bucket(`{"Effect":"Allow","Principal":` + principal + `,` + action + `,` + resource + `}`)
}

func read(principal, tenant string) string {
	return grant(principal, `"Action":"s3:GetObject"`, `"Resource":"arn:aws:s3:::vault/bots/`+tenant+`/*"`)
}

func arn(role string) string { return `{"AWS":"` + roleARN + role + `"}` }

// twoRoles are the documents of two roles, each of one tenant.
func twoRoles(more ...file) []file {
	return append([]file{
		{"trust-acme", getRole("vault-acme", subjectTrust("StringEquals", "acme"))}, {"acme", getRolePolicy("vault-acme", "own", own("acme"))},
		{"trust-globex", getRole("vault-globex", subjectTrust("StringEquals", "globex"))}, {"globex", getRolePolicy("vault-globex", "own", own("globex"))},
	}, more...)
}

// TestRoles: what keeps tenants with a role each apart shows in all documents together.
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
		{"two bare roles", aws.CheckOptions{}, []file{{"t1", subjectTrust("StringEquals", "a")}, {"a", own("acme")}, {"t2", subjectTrust("StringEquals", "b")}, {"b", own("globex")}}, ""},

		// The same subject.
		{"one subject, printed", aws.CheckOptions{}, []file{{"f", tenants(subjectTrust("StringEquals", "s"), subjectTrust("StringEquals", "s"))}}, "f shared_subject"},
		{"one subject, in other words", aws.CheckOptions{}, []file{{"f", tenants(subjectTrust("StringEquals", "s"), subjectTrust("ForAnyValue:StringLike", "s"))}}, "f shared_subject"},
		{"one subject in a list", aws.CheckOptions{}, []file{{"a", getRole("r1", subjectTrust("StringEquals", "s"))}, {"b", getRole("r2", strings.Replace(subjectTrust("StringEquals", "s"), `"s"`, `["r","s"]`, 1))}}, "b shared_subject"},
		{"one subject, bare", aws.CheckOptions{}, []file{{"a", subjectTrust("StringEquals", "s")}, {"b", subjectTrust("StringEquals", "s")}}, "b shared_subject"},
		{"one subject, fetched", aws.CheckOptions{}, []file{{"a", getRole("vault-acme", subjectTrust("StringEquals", "s"))}, {"b", getRole("vault-globex", subjectTrust("StringEquals", "s"))}}, "b shared_subject"},
		{"one subject in a list of roles", aws.CheckOptions{}, []file{{"a", `{"Roles":[{"RoleName":"vault-acme","AssumeRolePolicyDocument":` + subjectTrust("StringEquals", "s") + `},{"RoleName":"vault-globex","AssumeRolePolicyDocument":` + subjectTrust("StringEquals", "s") + `}]}`}}, "a shared_subject"},
		{"one subject of another issuer", aws.CheckOptions{}, []file{{"a", subjectTrust("StringEquals", "s")}, {"b", strings.ReplaceAll(subjectTrust("StringEquals", "s"), "broker.example", "other.example")}}, ""},
		{"one role twice", aws.CheckOptions{}, []file{{"a", getRole("r", subjectTrust("StringEquals", "s"))}, {"b", getRole("r", subjectTrust("StringEquals", "s"))}}, ""},
		{"two roles of one tenant", aws.CheckOptions{}, []file{{"a", getRole("r1", subjectTrust("StringEquals", "s"))}, {"b", getRole("r2", subjectTrust("StringEquals", "s"))},
			{"c", getRolePolicy("r1", "p", own("acme"))}, {"d", getRolePolicy("r2", "p", own("acme"))}}, ""},
		{"one subject, two tags", aws.CheckOptions{Isolation: aws.ByRole}, []file{{"a", taggedTrust("a")}, {"b", taggedTrust("b")}}, ""},
		{"one subject, one tag", aws.CheckOptions{Isolation: aws.ByRole}, []file{{"a", taggedTrust("a")}, {"b", taggedTrust("a")}}, "b shared_subject"},

		// Several policies of one role.
		{"two policies of a role", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", getRolePolicy("vault", "two", own("globex"))}}, "b unbound_prefix"},
		{"two bare policies and one trust", aws.CheckOptions{}, []file{{"t", subjectTrust("StringEquals", "s")}, {"a", own("acme")}, {"b", own("globex")}}, "b unbound_prefix"},
		{"two bare policies", aws.CheckOptions{}, []file{{"a", own("acme")}, {"b", own("globex")}}, "b unbound_prefix"},
		{"a managed policy beside one of the role", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", `{"PolicyVersion":{"Document":` + own("globex") + `}}`}}, "b unbound_prefix"},
		{"two policies of one tenant", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault", "one", own("acme"))}, {"b", getRolePolicy("vault", "two", own("acme"))}}, ""},
		{"two policies of a user", aws.CheckOptions{}, []file{{"a", `{"UserName":"u","PolicyName":"p","PolicyDocument":` + own("acme") + `}`}, {"b", `{"UserName":"u","PolicyName":"q","PolicyDocument":` + own("globex") + `}`}}, "b unbound_prefix"},
		{"a role that has another tenant's name", aws.CheckOptions{}, []file{{"a", getRolePolicy("vault-acme", "p", own("acme"))}, {"b", getRolePolicy("vault-globex", "p", own("acme"))}, {"c", getRolePolicy("x", "p", own("globex"))}}, "b unbound_prefix"},
		{"inline and inline", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault", "s", `"RolePolicyList":[{"PolicyName":"a","PolicyDocument":`+own("acme")+`},{"PolicyName":"b","PolicyDocument":`+own("globex")+`}]`))}}, "f unbound_prefix"},
		{"inline and managed", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault", "s", inline("a", own("acme"))+","+attached("more")) + `],"Policies":[` + managed("more", own("globex")) + `]}`}}, "f unbound_prefix"},
		{"inline and managed, on two pages", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault", "s", inline("a", own("acme"))+","+attached("more")) + `],"IsTruncated":true}
			{"Policies":[` + managed("more", own("globex")) + `],"IsTruncated":false}`}}, "f unbound_prefix"},
		{"managed and managed, as --query prints it", aws.CheckOptions{}, []file{{"f", `[[` + accountRole("vault", "s", `"AttachedManagedPolicies":[{"PolicyName":"a","PolicyArn":"arn:aws:iam::123456789012:policy/a"},{"PolicyName":"b","PolicyArn":"arn:aws:iam::123456789012:policy/b"}]`) + `],[` + managed("a", own("acme")) + "," + managed("b", own("globex")) + `]]`}}, "f unbound_prefix"},
		{"by two groups", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g","h"]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]},{"GroupName":"h",` + attached("more") + `}],"Policies":[` + managed("more", own("globex")) + `]}`}}, "f unbound_prefix"},
		{"by a group and inline", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g"],"UserPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("globex") + `}]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]}]}`}}, "f unbound_prefix"},
		{"a group each", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"u","GroupList":["g"]},{"UserName":"v","GroupList":["h"]}],"GroupDetailList":[
			{"GroupName":"g","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]},{"GroupName":"h","GroupPolicyList":[{"PolicyName":"p","PolicyDocument":` + own("globex") + `}]}]}`}}, ""},
		{"an account with a role each", aws.CheckOptions{}, []file{{"f", `{"RoleDetailList":[` + accountRole("vault-acme", "a", attached("acme")) + "," + accountRole("vault-globex", "b", attached("globex")) + `],"Policies":[` + managed("acme", own("acme")) + "," + managed("globex", own("globex")) + `]}`}}, ""},
		{"an account with a shared subject", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "s", inline("p", own("acme"))) + "," + accountRole("vault-globex", "s", inline("p", own("globex"))))}}, "f shared_subject"},
		{"an account whose other roles do other things", aws.CheckOptions{}, []file{{"f", `{"UserDetailList":[{"UserName":"admin","GroupList":[]}],"RoleDetailList":[` + accountRole("vault-acme", "a", inline("p", own("acme"))) +
			`,{"RoleName":"lambda","AssumeRolePolicyDocument":` + role(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`) + `,` + inline("p", role(`{"Effect":"Allow","Action":["logs:*","iam:PassRole"],"Resource":"*"}`)) +
			`},` + accountRole("deploy", "a", inline("p", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::site/*"}`))) + `]}`}}, ""},
		{"an account where another role reads everything", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "a", inline("p", own("acme"))) + "," + accountRole("deploy", "b", inline("p", role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`))))}}, "f broad_allow"},
		{"a role with a policy that was left out", aws.CheckOptions{}, []file{{"f", detail(accountRole("vault-acme", "a", inline("p", own("acme"))+","+attached("more")))}}, "f unseen_policy"},

		// Bucket policies.
		{"the bucket gives each its own", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-acme"), "acme")}), ""},
		{"the bucket gives another's", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-acme"), "globex")}), "bucket unbound_prefix"},
		{"the bucket gives another's list", aws.CheckOptions{}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":` + arn("vault-acme") + `,"Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault","Condition":{"StringLike":{"s3:prefix":"bots/globex/*"}}}`)}), "bucket unbound_prefix"},
		{"the bucket gives another's, as fetched, before the roles", aws.CheckOptions{}, append([]file{{"bucket", getBucketPolicy(read(arn("vault-acme"), "globex"))}}, twoRoles()...), "bucket unbound_prefix"},
		{"the bucket gives both", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":["`+roleARN+`vault-acme","`+roleARN+`vault-globex"]}`, "globex")}), "bucket unbound_prefix"},
		{"the bucket gives a session of another", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::123456789012:assumed-role/vault-acme/s"}`, "globex")}), "bucket unbound_prefix"},
		{"the bucket gives a role with a path", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("team/vault-acme"), "globex")}), "bucket unbound_prefix"},
		{"the bucket alone gives another's", aws.CheckOptions{}, []file{{"bucket", read(arn("vault-acme"), "globex")}}, "bucket unbound_prefix"},
		{"the bucket alone gives both", aws.CheckOptions{}, []file{{"bucket", read(`{"AWS":["`+roleARN+`vault-globex","`+roleARN+`vault-acme"]}`, "globex")}}, "bucket unbound_prefix"},
		{"the bucket alone gives its own", aws.CheckOptions{}, []file{{"bucket", read(arn("vault-globex"), "globex")}}, ""},
		{"the bucket gives all roles of a pattern", aws.CheckOptions{}, twoRoles(file{"bucket", read(arn("vault-*"), "globex")}), "bucket unbound_prefix"},
		{"the bucket gives an account", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:iam::210987654321:root"}`, "globex")}), "bucket unbound_prefix"},
		{"the bucket gives an account by its number", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":"210987654321"}`, "globex")}), "bucket unbound_prefix"},
		{"the bucket gives every principal", aws.CheckOptions{}, twoRoles(file{"bucket", read(`"*"`, "globex")}), "bucket public_allow"},
		{"the bucket gives every principal of a list", aws.CheckOptions{}, twoRoles(file{"bucket", read(`{"AWS":["`+roleARN+`vault-globex","*"]}`, "globex")}), "bucket public_allow"},
		{"the bucket gives all but one", aws.CheckOptions{}, twoRoles(file{"bucket", strings.Replace(read(arn("vault-acme"), "globex"), `"Principal":{`, `"NotPrincipal":{`, 1)}), "bucket not_element"},
		{"the bucket gives all but an action", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("vault-acme"), `"NotAction":"s3:PutObject"`, `"Resource":"arn:aws:s3:::vault/bots/globex/*"`)}), "bucket not_element, bucket unbound_prefix"},
		{"the bucket gives all but one tenant", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("vault-acme"), `"Action":"s3:GetObject"`, `"NotResource":"arn:aws:s3:::vault/bots/acme/*"`)}), "bucket broad_allow, bucket not_element"},
		{"the bucket gives two tenants to one role", aws.CheckOptions{}, []file{{"bucket", grant(arn("agents"), `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/bots/acme/*","arn:aws:s3:::vault/bots/globex/*"]`)}}, "bucket unbound_prefix"},
		{"two bucket policies give two tenants to one role", aws.CheckOptions{}, []file{{"a", read(arn("x-acme-globex"), "acme")}, {"b", read(arn("x-acme-globex"), "globex")}}, "a unbound_prefix"},
		{"an operator is named", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", grant(arn("ops"), `"Action":"s3:*"`, `"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`)}), ""},
		{"an operator is not named", aws.CheckOptions{}, twoRoles(file{"bucket", grant(arn("ops"), `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/*"]`)}), "bucket broad_allow"},
		{"an operator beside a tenant", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", grant(`{"AWS":["`+roleARN+`ops","`+roleARN+`vault-acme"]}`, `"Action":"s3:GetObject"`, `"Resource":["arn:aws:s3:::vault/*"]`)}), "bucket broad_allow"},
		{"an operator reads one tenant's", aws.CheckOptions{Operators: []string{"arn:aws:iam::123456789012:user/eve", roleARN + "ops"}}, twoRoles(file{"bucket", read(arn("ops"), "acme")}), ""},
		{"an account is the operator", aws.CheckOptions{Operators: []string{"arn:aws:iam::210987654321:root"}}, twoRoles(file{"bucket", read(`{"AWS":"210987654321"}`, "globex")}), ""},
		{"a session of the operator", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::123456789012:assumed-role/ops/eve"}`, "globex")}), ""},
		{"a session of another account's operator", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", read(`{"AWS":"arn:aws:sts::210987654321:assumed-role/ops/eve"}`, "globex")}), "bucket unbound_prefix"},
		{"an operator by a condition", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::vault/*","Condition":{"ArnEquals":{"aws:PrincipalArn":"` + roleARN + `ops"}}}`)}), ""},
		{"an operator of a similar name", aws.CheckOptions{Operators: []string{roleARN + "op"}}, twoRoles(file{"bucket", read(arn("ops"), "acme")}), "bucket unbound_prefix"},
		{"the operator's own role", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"ops", getRolePolicy("ops", "all", role(`{"Effect":"Allow","Action":"*","Resource":"*"}`))}), ""},
		{"the operator may assume a role", aws.CheckOptions{Operators: []string{roleARN + "ops"}}, twoRoles(file{"more", getRole("vault-acme", role(`{"Effect":"Allow","Principal":`+arn("ops")+`,"Action":"sts:AssumeRole"}`))}), ""},
		{"logs are written by a service", aws.CheckOptions{}, twoRoles(file{"bucket", bucket(`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/logs/*"]}`)}), ""},
	} {
		if g := strings.Join(holes(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestPrintedGrant: what the generator prints, and then one statement that gives the role of one
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
			if got := holes(t, aws.CheckOptions{}, file{"f", string(changed)}); fmt.Sprint(got) != "[f unbound_prefix]" {
				t.Errorf("%s, %s: %s", grants, name, got)
			}
			bucketPolicy["Statement"] = before
		}
	}
}

// TestOtherBucket: a name that is mistaken does not hide what the documents say.
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
		{"a typo in the name", typo, twoRoles(file{"bucket", goodBucket}), "acme other_bucket, bucket other_bucket, globex other_bucket"},
		{"a typo beside holes", typo, []file{{"a", role(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::vault/*"}`)}}, "a other_bucket"},
		{"a typo by tag", typo, []file{{"t", goodTrust}, {"r", goodRole}, {"b", goodBucket}}, "b other_bucket, r other_bucket"},
		{"an ARN for the name", aws.CheckOptions{Bucket: "arn:aws:s3:::vault"}, []file{{"b", goodBucket}}, "b other_bucket"},
		{"another case", aws.CheckOptions{Bucket: "Vault"}, []file{{"b", goodBucket}}, "b other_bucket"},
		{"the name", vault, twoRoles(file{"bucket", goodBucket}), ""},
		{"the policy of another bucket", vault, twoRoles(file{"bucket", strings.ReplaceAll(goodBucket, "vault", "logs")}), "bucket other_bucket"},
		{"a role for another bucket", vault, twoRoles(file{"other", getRolePolicy("site", "p", assets)}), "other other_bucket"},
		{"a second policy of the role, for another bucket", vault, twoRoles(file{"other", getRolePolicy("vault-acme", "assets", assets)}), ""},
		{"a second policy of the role, for logs", vault, twoRoles(file{"other", getRolePolicy("vault-acme", "logs", onlyLogs)}), ""},
		{"logs alone", vault, []file{{"a", onlyLogs}}, "a other_bucket"},
		{"all resources", vault, []file{{"a", logs}}, ""},
		{"trusts name no bucket", typo, []file{{"t", goodRoleTrust}}, ""},
		{"an account without the bucket", typo, []file{{"f", `{"RoleDetailList":[{"RoleName":"r","RolePolicyList":[{"PolicyName":"p","PolicyDocument":` + own("acme") + `}]}]}`}}, "f other_bucket"},

		{"TLS of another bucket", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), "bucket http_allowed"},
		{"TLS of what starts like the bucket", vault, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::vault-logs/*"]`)}), "bucket http_allowed"},
		{"TLS of two buckets, half of each", aws.CheckOptions{}, []file{{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::logs/*"]`)}}, "bucket http_allowed"},
		{"TLS of another, in a pattern", vault, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault/x","arn:aws:s3:::logs*"]`)}), "bucket http_allowed"},
		{"TLS of another, and a grant of this one", aws.CheckOptions{}, twoRoles(file{"bucket", strings.ReplaceAll(read(arn("vault-acme"), "acme"), `["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`, `["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), "bucket http_allowed"},
		{"TLS of both", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::vault","arn:aws:s3:::vault/*","arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`)}), ""},
		{"TLS of all", aws.CheckOptions{}, twoRoles(file{"bucket", tls(`["arn:aws:s3:::*"]`)}), ""},
	} {
		if g := strings.Join(holes(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestNotOurs: statements that do not concern tenants are not weaknesses.
func TestNotOurs(t *testing.T) {
	beside := func(statement string) string { return edit(goodRole, `"Statement":[`, `"Statement":[`+statement+",") }
	vault, none := aws.CheckOptions{Bucket: "vault"}, aws.CheckOptions{}
	for _, tc := range []struct {
		name, doc string
		o         aws.CheckOptions
		want      string
	}{
		{"logs", beside(`{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents","cloudwatch:PutMetricData","xray:Put*","ssmmessages:*","ec2:Describe*","secretsmanager:GetSecretValue"],"Resource":"*"}`), none, ""},
		{"logs among the objects' actions", strings.Replace(goodRole, `"s3:GetObject",`, `"s3:GetObject","logs:PutLogEvents",`, 1), none, ""},
		{"who am I", beside(`{"Effect":"Allow","Action":["sts:GetCallerIdentity","iam:GetRole","iam:List*","kms:DescribeKey"],"Resource":"*"}`), none, ""},
		{"roles that may be assumed", beside(`{"Effect":"Allow","Action":["sts:AssumeRole"],"Resource":"*"}`), none, "0 excess_action"},
		{"roles that may be passed", beside(`{"Effect":"Allow","Action":["iam:PassRole"],"Resource":"*"}`), none, "0 excess_action"},
		{"any service", beside(`{"Effect":"Allow","Action":["*:Get*"],"Resource":"arn:aws:s3:::vault/public/*"}`), none, "0 excess_action"},
		{"reads of another bucket", beside(`{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectTagging","s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::assets","arn:aws:s3:::assets/*"]}`), vault, ""},
		{"reads of another bucket, without a name", beside(`{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::assets","arn:aws:s3:::assets/*"]}`), none, ""},
		{"reads of buckets by a pattern", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::assets-*/*","arn:aws:s3:::?ault-assets/*"]}`), none, ""},
		{"a pattern that is ours, too", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::v*"]}`), none, "0 broad_allow"},
		{"a pattern of one letter", beside(`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::vaul?/*"]}`), none, "0 broad_allow"},
		{"all of another bucket", beside(`{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::own","arn:aws:s3:::own/*"]}`), vault, ""},
		{"all but one action of another bucket", beside(`{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":["arn:aws:s3:::own/*"]}`), vault, ""},
		{"another bucket for every principal", bucket(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}`), vault, ""},
		{"ACLs of both buckets", beside(`{"Effect":"Allow","Action":"s3:PutObjectAcl","Resource":["arn:aws:s3:::own/*","arn:aws:s3:::vault/public/*"]}`), vault, "0 excess_action"},

		{"the tag is asked for by its key", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEquals":{"aws:TagKeys":"wallet"}`), none, ""},
		{"the tag is asked for by its key, in any case", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEqualsIgnoreCase":{"aws:TagKeys":["Wallet"]}`), none, ""},
		{"the tag is asked for by its key, like it", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringLike":{"aws:tagkeys":["wallet"]}`), none, ""},
		{"one of two tags is asked for", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEquals":{"aws:TagKeys":["wallet","team"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"no other tag is asked for", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAllValues:StringEquals":{"aws:TagKeys":["wallet"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"a pattern of tags is asked for", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringLike":{"aws:TagKeys":["w*"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"the tag is asked for, perhaps", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":["wallet"]}`), none, "0 negated_missing, 0 no_tag_guard"},
		{"only these tags, beside a guard", edit(goodTrust, `"Null":{"aws:RequestTag/wallet":false}`, `"Null":{"aws:RequestTag/wallet":false},"ForAllValues:StringEquals":{"aws:TagKeys":["wallet"]}`), none, ""},
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
		{"a subject in any case", subjectTrust("StringEqualsIgnoreCase", "acme"), aws.CheckOptions{}, "0 wildcard_subject"},
		{"any subject in any case", subjectTrust("ForAnyValue:StringEqualsIgnoreCase", "acme"), byRole, "0 wildcard_subject"},
		{"a subject in any case, perhaps", subjectTrust("StringEqualsIgnoreCaseIfExists", "acme"), byRole, "0 if_exists, 0 no_subject, 0 wildcard_subject"},
		{"a subject in any case, and all of them", subjectTrust("ForAllValues:StringEqualsIgnoreCase", "acme"), byRole, "0 no_subject, 0 set_operator, 0 wildcard_subject"},
		{"a subject in any case, by tag", edit(goodTrust, `"Null":{`, `"StringEqualsIgnoreCase":{"broker.example:sub":"acme"},"Null":{`), aws.CheckOptions{}, "0 wildcard_subject"},
		{"a subject in any case, and exactly", edit(goodRoleTrust, `"Condition":{`, `"Condition":{"StringEqualsIgnoreCase":{"broker.example:sub":"repo:acme/agents:ref:refs/heads/main"},`), aws.CheckOptions{}, ""},
		{"any subject like one", subjectTrust("ForAnyValue:StringLike", "repo:acme/*"), byRole, "0 wildcard_subject"},
		{"a subject like one, perhaps", subjectTrust("StringLikeIfExists", "repo:acme/*"), byRole, "0 if_exists, 0 no_subject"},
		{"a wildcard beside the exact one", edit(goodRoleTrust, `"Condition":{`, `"Condition":{"StringLike":{"broker.example:sub":"repo:acme/*"},`), aws.CheckOptions{}, ""},
		{"a tag in any case", bound(`"StringEqualsIgnoreCase"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"any tag in any case", bound(`"ForAnyValue:StringEqualsIgnoreCase"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"a tag in any case, perhaps", bound(`"StringEqualsIgnoreCaseIfExists"`), byTag, "0 ignores_case, 0 unbound_prefix"},
		{"a tag in any case at RGW", strings.Replace(goodRGWRole, `"StringEquals":{"aws:PrincipalTag`, `"StringEqualsIgnoreCase":{"aws:PrincipalTag`, 1), aws.CheckOptions{Dialect: aws.RGW}, "0 ignores_case, 0 unbound_prefix"},
		{"a tag like a pattern", strings.Replace(bound(`"StringLike"`), `Tag/wallet":"acme"`, `Tag/wallet":"ac*"`, 1), byTag, "0 unbound_prefix"},
		{"a tag like one", bound(`"StringLike"`), byTag, ""},
		{"any tag that is the one", bound(`"ForAnyValue:StringEquals"`), byTag, ""},
		{"the tag of a role in any case", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x"},"StringEqualsIgnoreCase":{"aws:RequestTag/wallet":"acme"}}`), byRole, "0 ignores_case"},
		{"the tags of a role in any case, by tag", trust(`["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`, `{"StringEquals":{"broker.example:aud":"x"},"StringEqualsIgnoreCase":{"aws:RequestTag/wallet":"acme"}}`), byTag, "0 ignores_case, 0 wildcard_tag"},
		{"a list of bots/ in any case", list("StringEqualsIgnoreCase", "BOTS/"), byRole, "0 list_prefix_wide"},
		{"a list of a tenant in any case", list("StringEqualsIgnoreCase", "Bots/Acme/"), byRole, ""},
	} {
		if g := strings.Join(check(t, tc.doc, tc.o), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}
