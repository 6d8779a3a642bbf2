package tencent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy/tencent"
)

// A file is a document and the name of its file.
type file struct{ name, doc string }

// weaknesses returns the findings of Check for files, as FILE WEAKNESS, sorted.
func weaknesses(t *testing.T, o tencent.CheckOptions, files ...file) []string {
	t.Helper()
	var all []tencent.Document
	for _, f := range files {
		docs, err := tencent.Parse(f.name, []byte(f.doc))
		if err != nil {
			t.Fatalf("%v\n%s", err, f.doc)
		}
		all = append(all, docs...)
	}
	var got []string
	for _, f := range tencent.Check(all, o) {
		got = append(got, f.File+" "+f.Weakness)
	}
	slices.Sort(got)
	return slices.Compact(got)
}

func getRole(name, doc string) string {
	return `{"RoleInfo":{"RoleName":"` + name + `","PolicyDocument":` + quoted(doc) + `},"RequestId":"r"}`
}

// TestGrants: principals to which a bucket policy gives the prefix of a tenant.
func TestGrants(t *testing.T) {
	none := tencent.CheckOptions{}
	grant := func(principal, tenant string) file {
		return file{"bucket", `{"Policy":` + quoted(`{"version":"2.0","statement":[{"effect":"allow","principal":`+principal+`,"action":"name/cos:GetObject",
			"resource":"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/bots/`+tenant+`/*","condition":{"bool_equal":{"cos:secure-transport":"true"}}}]}`) + `}`}
	}
	qcs := func(names ...string) string { return `{"qcs":["` + strings.Join(names, `","`) + `"]}` }
	const user = "qcs::cam::uin/100000000001:"
	printed := file{"f", `{"tenants":{"acme":{"role_name":"vault-acme","role_arn":"` + user + `roleName/vault-acme","trust_policy":` + edit(goodTrust, "bot:0xabc", "bot:acme") + `,"role_policy":` + strings.ReplaceAll(goodRole, "0xabc", "acme") + `},
		"globex":{"role_name":"vault-globex","role_arn":"` + user + `roleName/vault-globex","trust_policy":` + edit(goodTrust, "bot:0xabc", "bot:globex") + `,"role_policy":` + strings.ReplaceAll(goodRole, "0xabc", "globex") + `}}}`}
	fetched := file{"t", getRole("vault-acme", edit(goodTrust, "bot:0xabc", "bot:acme"))}
	for _, tc := range []struct {
		name  string
		o     tencent.CheckOptions
		files []file
		want  string
	}{
		{"no bucket policy", none, []file{printed}, ""},
		{"root of another account", none, []file{printed, grant(qcs("qcs::cam::uin/200000000002:root"), "acme")}, "bucket unbound_prefix"},
		{"user of another account", none, []file{printed, grant(qcs("qcs::cam::uin/200000000002:uin/200000000003"), "acme")}, "bucket unbound_prefix"},
		{"role of another account", none, []file{printed, grant(qcs("qcs::cam::uin/200000000002:roleName/vault-acme"), "acme")}, "bucket role_principal, bucket unbound_prefix"},
		{"user", none, []file{printed, grant(qcs(user+"uin/100000000011"), "acme")}, "bucket unbound_prefix"},
		{"user, fetched trust policy", none, []file{fetched, grant(qcs(user+"uin/100000000011"), "acme")}, "bucket unbound_prefix"},
		{"all users", none, []file{printed, grant(qcs(user+"uin/*"), "acme")}, "bucket public_allow, bucket unbound_prefix"},
		{"root of the account", none, []file{printed, grant(qcs(user+"root"), "acme")}, "bucket unbound_prefix"},
		{"operator", tencent.CheckOptions{Operators: []string{user + "uin/100000000011"}}, []file{printed, grant(qcs(user+"uin/100000000011"), "acme")}, ""},
		{"session", none, []file{printed, grant(qcs("qcs::sts::uin/100000000001:assumed-role/4611686018427397919:vault-acme"), "globex")}, "bucket unbound_prefix"},
		{"session named like the tenant", none, []file{printed, grant(qcs("qcs::sts:100000000001:assumed-role/4611686018427397919:vault-acme"), "acme")}, "bucket unbound_prefix"},
		{"tokens", none, []file{printed, grant(`{"federated":["`+user+`oidc-provider/broker"]}`, "globex")}, "bucket unbound_prefix"},
		{"service", none, []file{printed, grant(`{"service":["scf.qcloud.com"]}`, "globex")}, "bucket unbound_prefix"},
		{"role of the tenant", none, []file{printed, grant(qcs(user+"roleName/vault-acme"), "acme")}, "bucket role_principal"},
		{"role of another tenant", none, []file{printed, grant(qcs(user+"roleName/vault-acme"), "globex")}, "bucket role_principal, bucket unbound_prefix"},
		{"role of another tenant, other spelling", none, []file{printed, grant(qcs(user+"role/vault-acme"), "globex")}, "bucket role_principal, bucket unbound_prefix"},
		{"another role", none, []file{printed, grant(qcs(user+"roleName/ops"), "acme")}, "bucket role_principal, bucket unbound_prefix"},
		{"all roles", none, []file{printed, grant(qcs(user+"roleName/*"), "acme")}, "bucket public_allow, bucket role_principal, bucket unbound_prefix"},
		{"anyone", none, []file{printed, grant(`"*"`, "acme")}, "bucket public_allow"},
		{"list of another tenant", none, []file{printed, {"bucket", `{"version":"2.0","statement":[{"effect":"allow","principal":` + qcs(user+"uin/100000000011") + `,"action":"name/cos:GetBucket",
			"resource":"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/","condition":{"string_like":{"cos:prefix":"bots%2Facme%2F*"},"bool_equal":{"cos:secure-transport":"true"}}}]}`}}, "bucket unbound_prefix"},

		// Without the documents of the roles, a user may belong to the tenant.
		{"bucket policy only, user", none, []file{grant(qcs(user+"uin/100000000011"), "acme")}, ""},
		{"bucket policy only, root of the account", none, []file{grant(qcs(user+"root"), "acme")}, ""},
		{"bucket policy only, all users", none, []file{grant(qcs(user+"uin/*"), "acme")}, "bucket public_allow, bucket unbound_prefix"},
		{"bucket policy only, users by a pattern", none, []file{grant(qcs(user+"uin/1000*"), "acme")}, "bucket public_allow, bucket unbound_prefix"},
		{"bucket policy only, everything in the account", none, []file{grant(qcs(user+"*"), "acme")}, "bucket public_allow, bucket unbound_prefix"},
		{"bucket policy only, group", none, []file{grant(qcs(user+"groupid/1"), "acme")}, "bucket unbound_prefix"},
		{"bucket policy only, service", none, []file{grant(qcs(user+"service/cdn"), "acme")}, "bucket unbound_prefix"},
		{"bucket policy only, two users in one name", none, []file{grant(qcs(user+"uin/1,uin/2"), "acme")}, "bucket unbound_prefix"},
		{"all users in the account, outside bots", none, []file{printed, {"bucket", strings.ReplaceAll(edit(goodBucket, "uin/100000000011", "uin/*"), "bots/0xabc/", "public/")}}, "bucket public_allow"},
		{"bucket policy only, tokens", none, []file{grant(`{"federated":["`+user+`oidc-provider/broker"]}`, "acme")}, "bucket unbound_prefix"},
		{"bucket policy only, session", none, []file{grant(qcs("qcs::sts:100000000001:assumed-role/4611686018427397919:vault-acme"), "acme")}, "bucket unbound_prefix"},
		{"bucket policy only, role of the tenant", none, []file{grant(qcs(user+"roleName/vault-acme"), "acme")}, "bucket role_principal"},
		{"bucket policy only, role of another tenant", none, []file{grant(qcs(user+"roleName/vault-acme"), "globex")}, "bucket role_principal, bucket unbound_prefix"},
		{"user of another account than the trust policy's", none, []file{{"t", goodTrust}, grant(qcs("qcs::cam::uin/200000000002:uin/200000000003"), "0xabc")}, "bucket unbound_prefix"},

		// Fetched roles.
		{"role named like another tenant", none, []file{{"a", `{"RoleName":"vault-acme","PolicyDocument":` + object("bots/acme/*") + `}`}, {"b", `{"RoleName":"vault-globex","PolicyDocument":` + object("bots/acme/*") + `}`}, {"c", `{"RoleName":"x","PolicyDocument":` + object("bots/globex/*") + `}`}}, "b unbound_prefix"},
		{"role both printed and fetched", none, []file{printed, {"b", `{"RoleName":"vault-acme","PolicyDocument":` + object("bots/globex/*") + `}`}}, "b unbound_prefix"},
	} {
		if g := strings.Join(weaknesses(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestOtherServices: actions of other services that copy or publish objects, or that use a tenant's
// role, are a weakness.
func TestOtherServices(t *testing.T) {
	for action, want := range map[string]string{
		"msp:CreateMigrationTask": "excess_action", "name/msp:*": "broad_action", "csg:CreateGateway": "excess_action",
		"scf:CreateFunction": "excess_action", "name/scf:*": "broad_action", "scf:Update*": "broad_action", "tat:RunCommand": "excess_action",
		"cvm:RunInstances": "excess_action", "tic:CreateStack": "excess_action", "cdn:AddCdnDomain": "excess_action", "teo:CreateAccelerationDomain": "excess_action",
		"scf:InvokeFunction": "", "scf:Invoke": "", "scf:Get*": "", "cvm:DescribeInstances": "", "msp:DescribeTasks": "", "name/cls:*": "", "ssm:GetSecretValue": "", "hunyuan:ChatCompletions": "",
	} {
		doc := edit(goodRole, `"statement":[`, `"statement":[{"effect":"allow","action":"`+action+`","resource":"qcs::scf:::*"},`)
		if got := strings.Join(check(t, doc, tencent.CheckOptions{}), ", "); strings.TrimPrefix(got, "0 ") != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
	}
}

// TestOtherForms: documents in less usual forms.
func TestOtherForms(t *testing.T) {
	old := func(path string) string {
		return one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uid/1250000000:prefix//1250000000/vault/`+path+`"`, "")
	}
	vault := tencent.CheckOptions{Bucket: "vault-1250000000"}
	for _, tc := range []struct {
		name, doc string
		o         tencent.CheckOptions
		want      string
	}{
		{"resource in the old form", old("bots/*"), vault, "0 broad_allow"},
		{"resource in the old form, one tenant", old("bots/acme/*"), vault, ""},
		{"resource in the old form, another bucket", old("bots/acme/*"), tencent.CheckOptions{Bucket: "other-1250000000"}, "- other_bucket"},
		{"list of bots, ignoring case", list(`,"string_equal_ignore_case":{"cos:prefix":"BOTS%2F"}`), vault, "0 list_prefix_wide"},
		{"list of a tenant, ignoring case", list(`,"string_equal_ignore_case":{"cos:prefix":"Bots%2FAcme%2F"}`), vault, ""},
		{"notaction on roles", `{"version":"2.0","statement":[{"effect":"allow","notaction":["name/cos:*"],"resource":"qcs::cam::uin/100000000001:roleName/*"}]}`, tencent.CheckOptions{}, "0 not_element"},
		{"notaction on another service", `{"version":"2.0","statement":[{"effect":"allow","notaction":["name/cos:*"],"resource":"qcs::cls:ap-hongkong:uin/100000000001:topic/*"}]}`, tencent.CheckOptions{}, ""},
	} {
		if g := strings.Join(check(t, tc.doc, tc.o), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestTogether: if each tenant has a role, only all documents together show whether the roles isolate
// tenants.
func TestTogether(t *testing.T) {
	none, typo := tencent.CheckOptions{}, tencent.CheckOptions{Bucket: "valut-1250000000"}
	vault := tencent.CheckOptions{Bucket: "vault-1250000000"}
	operator := func(names ...string) tencent.CheckOptions { return tencent.CheckOptions{Operators: names} }
	globexTrust := edit(goodTrust, "bot:0xabc", "bot:globex")
	globexRole := strings.ReplaceAll(goodRole, "0xabc", "globex")
	bucket := func(principal, action, path string) string {
		return `{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":["` + principal + `"]},"action":"` + action + `",
			"resource":"qcs::cos:ap-hongkong:uid/1250000000:` + path + `","condition":{"bool_equal":{"cos:secure-transport":"true"}}}]}`
	}
	beside := func(doc, statement string) string { return edit(doc, `"statement":[`, `"statement":[`+statement+`,`) }
	allowed := one(`"name/cos:*"`, `"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/*"`, "")
	const wide = "a broad_action, a broad_allow, a list_without_prefix, a public_header"
	const staff = "qcs::cam::uin/100000000001:uin/100000000099"
	logs := one(`["name/cls:pushLog","cls:*","name/monitor:GetMonitorData","name/cam:GetRole","name/sts:GetCallerIdentity"]`, `"*"`, "")
	for _, tc := range []struct {
		name  string
		o     tencent.CheckOptions
		files []file
		want  string
	}{
		{"one role per tenant", none, []file{{"ta", getRole("vault-0xabc", goodTrust)}, {"tb", getRole("vault-globex", globexTrust)}}, ""},
		{"shared subject, fetched roles", none, []file{{"a", getRole("vault-0xabc", goodTrust)}, {"b", getRole("vault-globex", goodTrust)}}, "b shared_subject"},
		{"shared subject, bare documents", none, []file{{"a", goodTrust}, {"b", goodTrust}}, "b shared_subject"},
		{"shared subject in a list of roles", none, []file{{"a", `{"List":[{"RoleName":"a","PolicyDocument":` + quoted(goodTrust) + `},{"RoleName":"b","PolicyDocument":` + quoted(goodTrust) + `}]}`}}, "a shared_subject"},
		{"same subject, different issuers", none, []file{{"a", goodTrust}, {"b", edit(goodTrust, "https://broker.example", "https://other.example")}}, ""},
		{"same role twice", none, []file{{"a", getRole("r", goodTrust)}, {"b", getRole("r", goodTrust)}}, ""},
		{"two tenants in two policies of a role", none, []file{{"t", getRole("vault", goodTrust)}, {"a", `{"PolicyName":"a","PolicyDocument":` + quoted(goodRole) + `}`}, {"b", `{"PolicyName":"b","PolicyDocument":` + quoted(globexRole) + `}`}}, "b unbound_prefix"},
		{"two bare role policies", none, []file{{"a", goodRole}, {"b", globexRole}}, "b unbound_prefix"},
		{"two bare policies and trust policies", none, []file{{"ta", goodTrust}, {"a", goodRole}, {"tb", globexTrust}, {"b", globexRole}}, ""},
		{"two policies for one tenant", none, []file{{"a", goodRole}, {"b", object("bots/0xabc/*")}}, ""},
		{"two bucket policies for one user", none, []file{{"a", goodBucket}, {"b", strings.ReplaceAll(goodBucket, "0xabc", "globex")}}, "b unbound_prefix"},

		{"typo in the bucket name", typo, []file{{"a", goodRole}, {"b", goodBucket}, {"t", goodTrust}}, "a other_bucket, b other_bucket"},
		{"bucket name without the APPID", tencent.CheckOptions{Bucket: "vault"}, []file{{"a", goodRole}}, "a other_bucket"},
		{"typo in the bucket name, weak policy", typo, []file{{"a", one(`"name/cos:*"`, `"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/*"`, "")}}, "a other_bucket"},
		{"correct bucket name", vault, []file{{"a", goodRole}, {"b", goodBucket}, {"t", goodTrust}}, ""},
		{"policy of another bucket", vault, []file{{"a", goodRole}, {"b", strings.ReplaceAll(goodBucket, "vault-", "logs-")}}, "b other_bucket"},
		{"second policy of a role, for another bucket", vault, []file{{"a", goodRole}, {"b", one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*"`, "")}}, ""},
		{"http denied in another bucket", none, []file{{"a", edit(edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), `"statement":[`,
			`"statement":[{"effect":"deny","action":"name/cos:*","resource":"qcs::cos:ap-hongkong:uid/1250000000:logs-1250000000/*","condition":{"bool_equal":{"cos:secure-transport":"false"}}},`)}}, "a http_allowed"},

		{"actions of other services", none, []file{{"a", goodRole}, {"b", logs}}, ""},
		{"actions of CAM and STS", none, []file{{"a", goodRole}, {"b", one(`["name/cam:*","name/sts:AssumeRole"]`, `"*"`, "")}}, "b broad_action, b excess_action"},
		{"all actions on another bucket", vault, []file{{"a", goodRole}, {"b", one(`"name/cos:*"`, `["qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*","qcs::cos::uid/1250000000:assets-*/*"]`, "")}}, ""},
		{"all actions on another bucket, no bucket name", none, []file{{"a", goodRole}, {"b", one(`"name/cos:*"`, `"qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*"`, "")}}, ""},
		// Without the name of a bucket, the statements that allow access determine the buckets.
		{"another bucket denied", none, []file{{"a", beside(allowed, `{"effect":"deny","action":"name/cos:PutObject","resource":"qcs::cos:ap-hongkong:uid/1250000000:old-1250000000/bots/0xabc/*"}`)}}, wide},
		{"list of another bucket denied", none, []file{{"a", beside(allowed, `{"effect":"deny","action":"name/cos:GetBucket","resource":"qcs::cos:ap-hongkong:uid/1250000000:old-1250000000/*","condition":{"string_like":{"cos:prefix":["bots%2F*"]}}}`)}}, wide},
		{"pattern that includes bots, and another bucket", none, []file{{"a", beside(object("b*"), `{"effect":"allow","action":"name/cos:GetObject","resource":"qcs::cos:ap-hongkong:uid/1250000000:old-1250000000/bots/0xabc/*","condition":{"bool_equal":{"cos:secure-transport":"true"}}}`)}}, "a broad_allow"},
		{"pattern that may include bots in another bucket only", none, []file{{"a", beside(allowed, `{"effect":"allow","action":"name/cos:GetObject","resource":"qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/b*","condition":{"bool_equal":{"cos:secure-transport":"true"}}}`)}}, wide},
		{"list that includes bots, and another bucket", none, []file{{"a", beside(list(`,"string_like":{"cos:prefix":"bo*"}`), `{"effect":"allow","action":"name/cos:GetObject","resource":"qcs::cos:ap-hongkong:uid/1250000000:old-1250000000/bots/0xabc/*","condition":{"bool_equal":{"cos:secure-transport":"true"}}}`)}}, "a list_prefix_wide"},
		{"another bucket, anyone", vault, []file{{"a", goodRole}, {"b", strings.Replace(goodBucket, `"Statement":[`, `"Statement":[`+`{"Effect":"Allow","Principal":"*","Action":"name/cos:GetObject","Resource":"qcs::cos:ap-hongkong:uid/1250000000:site-1250000000/*"},`, 1)}}, ""},

		{"operator given", operator(staff), []file{{"a", bucket(staff, "name/cos:*", "vault-1250000000/*")}}, ""},
		{"operator not given", none, []file{{"a", bucket(staff, "name/cos:*", "vault-1250000000/*")}}, "a broad_action, a broad_allow, a list_without_prefix, a public_header"},
		{"another operator given", operator("qcs::cam::uin/100000000001:uin/100000000098"), []file{{"a", bucket(staff, "name/cos:GetObject", "vault-1250000000/*")}}, "a broad_allow"},
		{"owner in another spelling", operator("qcs::cam::uin/100000000001:root"), []file{{"a", bucket("qcs::cam::uin/100000000001:uin/100000000001", "name/cos:GetObject", "vault-1250000000/*")}}, ""},
		{"operator and anyone in one statement", operator(staff), []file{{"a", edit(bucket(staff, "name/cos:GetObject", "vault-1250000000/bots/a/*"), `["qcs`, `["qcs::cam::anyone:anyone","qcs`)}}, "a public_allow"},
		{"role of the operator", operator("qcs::cam::uin/100000000001:roleName/admin"), []file{{"a", goodRole}, {"t", getRole("admin", `{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["qcs::cam::uin/100000000001:root"]}}]}`)}}, ""},
		{"role name only starts like the operator's", operator("qcs::cam::uin/100000000001:roleName/adm"), []file{{"a", goodRole}, {"t", getRole("admin", `{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["qcs::cam::uin/100000000001:root"]}}]}`)}}, "t anyone_assumes, t excess_action, t no_audience, t no_issuer, t no_subject"},
		{"operator may assume a role", operator(staff), []file{{"t", `{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["` + staff + `"]}}]}`}}, ""},
	} {
		if g := strings.Join(weaknesses(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}
