package tencent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy/tencent"
)

// A file is a document and the name of its file.
type file struct{ name, doc string }

// holes are what Check reports for files, as FILE HOLE, sorted.
func holes(t *testing.T, o tencent.CheckOptions, files ...file) []string {
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

// TestTogether: what keeps tenants with a role each apart shows in all documents together.
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
	const staff = "qcs::cam::uin/100000000001:uin/100000000099"
	logs := one(`["name/cls:pushLog","cls:*","name/monitor:GetMonitorData","name/cam:GetRole","name/sts:GetCallerIdentity"]`, `"*"`, "")
	for _, tc := range []struct {
		name  string
		o     tencent.CheckOptions
		files []file
		want  string
	}{
		{"a role each", none, []file{{"ta", getRole("vault-0xabc", goodTrust)}, {"tb", getRole("vault-globex", globexTrust)}}, ""},
		{"one subject, fetched", none, []file{{"a", getRole("vault-0xabc", goodTrust)}, {"b", getRole("vault-globex", goodTrust)}}, "b shared_subject"},
		{"one subject, bare", none, []file{{"a", goodTrust}, {"b", goodTrust}}, "b shared_subject"},
		{"one subject in a list of roles", none, []file{{"a", `{"List":[{"RoleName":"a","PolicyDocument":` + quoted(goodTrust) + `},{"RoleName":"b","PolicyDocument":` + quoted(goodTrust) + `}]}`}}, "a shared_subject"},
		{"one subject of another issuer", none, []file{{"a", goodTrust}, {"b", edit(goodTrust, "https://broker.example", "https://other.example")}}, ""},
		{"one role twice", none, []file{{"a", getRole("r", goodTrust)}, {"b", getRole("r", goodTrust)}}, ""},
		{"two policies of the one role", none, []file{{"t", getRole("vault", goodTrust)}, {"a", `{"PolicyName":"a","PolicyDocument":` + quoted(goodRole) + `}`}, {"b", `{"PolicyName":"b","PolicyDocument":` + quoted(globexRole) + `}`}}, "b unbound_prefix"},
		{"two bare policies", none, []file{{"a", goodRole}, {"b", globexRole}}, "b unbound_prefix"},
		{"two policies, two roles", none, []file{{"ta", goodTrust}, {"a", goodRole}, {"tb", globexTrust}, {"b", globexRole}}, ""},
		{"two policies of one tenant", none, []file{{"a", goodRole}, {"b", object("bots/0xabc/*")}}, ""},
		{"two bucket policies for one user", none, []file{{"a", goodBucket}, {"b", strings.ReplaceAll(goodBucket, "0xabc", "globex")}}, "b unbound_prefix"},

		{"a typo in the name", typo, []file{{"a", goodRole}, {"b", goodBucket}, {"t", goodTrust}}, "a other_bucket, b other_bucket"},
		{"the name without the APPID", tencent.CheckOptions{Bucket: "vault"}, []file{{"a", goodRole}}, "a other_bucket"},
		{"a typo beside holes", typo, []file{{"a", one(`"name/cos:*"`, `"qcs::cos:ap-hongkong:uid/1250000000:vault-1250000000/*"`, "")}}, "a other_bucket"},
		{"the name", vault, []file{{"a", goodRole}, {"b", goodBucket}, {"t", goodTrust}}, ""},
		{"the policy of another bucket", vault, []file{{"a", goodRole}, {"b", strings.ReplaceAll(goodBucket, "vault-", "logs-")}}, "b other_bucket"},
		{"a second policy of the role, for another bucket", vault, []file{{"a", goodRole}, {"b", one(`"name/cos:GetObject"`, `"qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*"`, "")}}, ""},
		{"TLS of another bucket", none, []file{{"a", edit(edit(goodRole, `,"condition":{"bool_equal":{"cos:secure-transport":true}}`, ""), `"statement":[`,
			`"statement":[{"effect":"deny","action":"name/cos:*","resource":"qcs::cos:ap-hongkong:uid/1250000000:logs-1250000000/*","condition":{"bool_equal":{"cos:secure-transport":"false"}}},`)}}, "a http_allowed"},

		{"logs", none, []file{{"a", goodRole}, {"b", logs}}, ""},
		{"rights", none, []file{{"a", goodRole}, {"b", one(`["name/cam:*","name/sts:AssumeRole"]`, `"*"`, "")}}, "b broad_action, b excess_action"},
		{"everything of another bucket", vault, []file{{"a", goodRole}, {"b", one(`"name/cos:*"`, `["qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*","qcs::cos::uid/1250000000:assets-*/*"]`, "")}}, ""},
		{"everything of another bucket, without a name", none, []file{{"a", goodRole}, {"b", one(`"name/cos:*"`, `"qcs::cos:ap-hongkong:uid/1250000000:assets-1250000000/*"`, "")}}, ""},
		{"another bucket for anyone", vault, []file{{"a", goodRole}, {"b", strings.Replace(goodBucket, `"Statement":[`, `"Statement":[`+`{"Effect":"Allow","Principal":"*","Action":"name/cos:GetObject","Resource":"qcs::cos:ap-hongkong:uid/1250000000:site-1250000000/*"},`, 1)}}, ""},

		{"an operator is named", operator(staff), []file{{"a", bucket(staff, "name/cos:*", "vault-1250000000/*")}}, ""},
		{"an operator is not named", none, []file{{"a", bucket(staff, "name/cos:*", "vault-1250000000/*")}}, "a broad_action, a broad_allow, a list_without_prefix, a public_header"},
		{"another operator is named", operator("qcs::cam::uin/100000000001:uin/100000000098"), []file{{"a", bucket(staff, "name/cos:GetObject", "vault-1250000000/*")}}, "a broad_allow"},
		{"the owner, in other words", operator("qcs::cam::uin/100000000001:root"), []file{{"a", bucket("qcs::cam::uin/100000000001:uin/100000000001", "name/cos:GetObject", "vault-1250000000/*")}}, ""},
		{"an operator beside anyone", operator(staff), []file{{"a", edit(bucket(staff, "name/cos:GetObject", "vault-1250000000/bots/a/*"), `["qcs`, `["qcs::cam::anyone:anyone","qcs`)}}, "a public_allow"},
		{"an operator may assume the role", operator(staff), []file{{"t", `{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["` + staff + `"]}}]}`}}, ""},
	} {
		if g := strings.Join(holes(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}
