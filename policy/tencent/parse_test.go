package tencent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestFetched: a policy in a response of the cloud is parsed like the bare document.
func TestFetched(t *testing.T) {
	for _, tc := range []struct {
		name, doc, bare string
		part            policy.Part
	}{
		{"bare trust policy", goodTrust, goodTrust, policy.TrustPolicy},
		{"bare role policy", goodRole, goodRole, policy.RolePolicy},
		{"bare bucket policy", goodBucket, goodBucket, policy.BucketPolicy},
		{"GetRole", `{"RoleInfo":{"RoleId":"4611686018427397919","RoleName":"vault-0xabc","PolicyDocument":` + quoted(goodTrust) + `,"RoleArn":"x"},"RequestId":"r"}`, goodTrust, policy.TrustPolicy},
		{"GetRole of the API", `{"Response":{"RoleInfo":{"PolicyDocument":"` + url.PathEscape(goodTrust) + `"},"RequestId":"r"}}`, goodTrust, policy.TrustPolicy},
		{"GetPolicy", `{"PolicyName":"n","Type":1,"PolicyDocument":` + quoted(goodRole) + `,"RequestId":"r"}`, goodRole, policy.RolePolicy},
		{"input of CreateRole", `{"RoleName":"n","PolicyDocument":` + quoted(goodTrust) + `}`, goodTrust, policy.TrustPolicy},
		{"GetPolicyVersion", `{"PolicyVersion":{"VersionId":1,"Document":` + quoted(goodRole) + `},"RequestId":"r"}`, goodRole, policy.RolePolicy},
	} {
		if !tencent.Recognise([]byte(tc.doc)) {
			t.Errorf("%s is not recognised", tc.name)
		}
		got, err := tencent.Parse("f.json", []byte(tc.doc))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		bare, err := tencent.Parse("f.json", []byte(tc.bare))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bare, got); diff != "" || len(got) != 1 || got[0].Part != tc.part || got[0].File != "f.json" {
			t.Errorf("%s: %s (-bare +fetched):\n%s", tc.name, got[0].Part, diff)
		}
	}
}

// TestForms: a document in any form of a command's output is the same policy.
func TestForms(t *testing.T) {
	escaped := url.PathEscape(goodRole)
	for _, tc := range []struct {
		name, doc string
		want      []string // bare documents
	}{
		{"--filter PolicyDocument", quoted(goodRole), []string{goodRole}},
		{"in single quotes", "'" + goodRole + "\n'", []string{goodRole}},
		{"response in single quotes", "'\n{\n \"PolicyDocument\": " + quoted(goodRole) + "\n}\n'\n", []string{goodRole}},
		{"string in a string", quoted(quoted(goodRole)), []string{goodRole}},
		{"--filter RoleInfo", `{"RoleName":"r","PolicyDocument":` + quoted(goodTrust) + `}`, []string{goodTrust}},
		{"--filter PolicyVersion", `{"VersionId":1,"Document":` + quoted(goodRole) + `}`, []string{goodRole}},
		{"GetBucketPolicy of an SDK", `{"Policy":` + quoted(goodBucket) + `}`, []string{goodBucket}},
		{"DescribeRoleList", `{"List":[{"RoleName":"a","PolicyDocument":` + quoted(goodTrust) + `},{"RoleName":"b","PolicyDocument":` + quoted(goodTrust) + `}],"TotalNum":2,"RequestId":"r"}`, []string{goodTrust, goodTrust}},
		{"DescribeRoleList of the API", `{"Response":{"List":[{"RoleName":"a","PolicyDocument":` + quoted(goodTrust) + `}],"TotalNum":1}}`, []string{goodTrust}},
		{"--filter List[].PolicyDocument", "[" + quoted(goodTrust) + "," + quoted(goodTrust) + "]", []string{goodTrust, goodTrust}},
		{"URL-encoded, bare", escaped, []string{goodRole}},
		{"URL-encoded in quotes", `"` + escaped + `"`, []string{goodRole}},
		{"URL-encoded twice", url.PathEscape(escaped), []string{goodRole}},
		{"URL-encoded, with + for spaces", url.QueryEscape(goodRole), []string{goodRole}},
		{"byte order mark", "\ufeff" + goodRole, []string{goodRole}},
		{"several responses", `{"RoleInfo":{"PolicyDocument":` + quoted(goodTrust) + "}}\n" + `{"PolicyName":"n","PolicyDocument":` + quoted(goodRole) + "}\n" + goodBucket, []string{goodTrust, goodRole, goodBucket}},
		{"nested lists", "[" + goodBucket + ",[" + goodRole + "]]", []string{goodBucket, goodRole}},
	} {
		if !tencent.Recognise([]byte(tc.doc)) {
			t.Errorf("%s is not recognised", tc.name)
		}
		got, err := tencent.Parse("f.json", []byte(tc.doc))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var want []tencent.Document
		for _, bare := range tc.want {
			docs, err := tencent.Parse("f.json", []byte(bare))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, docs...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestRecognise(t *testing.T) {
	for _, tc := range []struct {
		doc  string
		want bool
	}{
		{`{"Version":"2012-10-17","Statement":[]}`, false},
		{`{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}`, false},
		{`{"Version":"2.0","Statement":[]}`, true},
		{`{"PolicyDocument":"{\"version\" : \"2.0\"}"}`, true},
		{`{"PolicyDocument":"%7B%22version%22%3A%222.0%22"}`, true},
		{`{"statement":[]}`, true},
		{`{"Role":{"AssumeRolePolicyDocument":{}}}`, false},
		{``, false},
		{"\xff%zz", false},
	} {
		if got := tencent.Recognise([]byte(tc.doc)); got != tc.want {
			t.Errorf("%s: %v", tc.doc, got)
		}
	}
}

func TestParsed(t *testing.T) {
	docs, err := tencent.Parse("f", []byte(`{"VERSION":"2.0","Statement":{"Sid":"s","EFFECT":"Deny","Principal":{"QCS":"a","service":["b","c"]},
		"Action":"x","Resource":["y"],"Condition":{"Bool_equal":{"k":true},"numeric_less_than":{"n":[1,"2"]},"for_any_value:string_not_equal_if_exist":{"Z":""}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []tencent.Document{{File: "f", Part: policy.BucketPolicy, Policy: &tencent.Policy{Version: "2.0", Statement: []tencent.Statement{{
		Sid: "s", Effect: "deny", Principal: policy.Principal{"qcs": {"a"}, "service": {"b", "c"}}, Action: []string{"x"}, Resource: []string{"y"},
		Condition: policy.Conditions{"bool_equal": {"k": {"true"}}, "numeric_less_than": {"n": {"1", "2"}}, "for_any_value:string_not_equal_if_exist": {"Z": {""}}},
	}}}}}
	if diff := cmp.Diff(want, docs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformed(t *testing.T) {
	const s = `"effect":"allow","action":"name/cos:GetObject","resource":"*"`
	for _, tc := range []struct{ doc, want string }{
		{"", "it is empty"},
		{"{", "line 1: it is not JSON"},
		{"{} {}", "it contains no policy"},
		{goodBucket + "\n{", "it is not JSON"},
		{"[" + goodRole + ",null]", "expected an object"},
		{"\xff\xfe{\x00}\x00", "it is UTF-16, not UTF-8"},
		{"{\x00}\x00", "it is UTF-16, not UTF-8"},
		{`{"List":[{"PolicyId":1,"PolicyName":"p"}],"TotalNum":1}`, "unknown member"},
		{"\xff", "not UTF-8"},
		{"[]", "expected an object"},
		{`{"Response":[]}`, "expected an object"},
		{"{}", "it contains no policy"},
		{`{"hello":1}`, `line 1: unknown member "hello"`},
		{`{"tenants":{"a":{"trust_policy":` + goodTrust + `},"b":"none"}}`, `line 3: tenant "b" is not an object`},
		{`{"statement":[]}`, "has no statement"},
		{`{"statement":[1]}`, "statement[0]: line 1: the statement is not an object"},
		{`{"version":"2012-10-17","statement":{` + s + `}}`, `unknown version "2012-10-17"`},
		{`{"version":2,"statement":{` + s + `}}`, "version is not a string"},
		{`{"statements":[],"statement":{` + s + `}}`, `unknown element "statements" in a policy`},
		{`{"statement":{` + s + `},"Statement":{` + s + `}}`, `"Statement" occurs twice`},
		{`{"statement":{` + s + `,"extra":1}}`, `unknown element "extra" in a statement`},
		{"{\"statement\":{" + s + ",\n\"Effect\":\"deny\"}}", `line 2: "Effect" occurs twice`},
		{`{"statement":{"effect":"permit","action":"a","resource":"*"}}`, `effect must be allow or deny, not "permit"`},
		{`{"statement":{"action":"a","resource":"*"}}`, "the statement contains no effect"},
		{`{"statement":{"effect":"allow","resource":"*"}}`, "must contain either action or notaction"},
		{`{"statement":{"effect":"allow","action":"a","notaction":"b","resource":"*"}}`, "must contain either action or notaction"},
		{`{"statement":{"effect":"allow","action":"a"}}`, "statement[0] contains no resource"},
		{`{"statement":{` + s + `,"notresource":"x"}}`, "both resource and notresource"},
		{`{"statement":{"effect":"allow","action":[],"resource":"*"}}`, `"action" is empty`},
		{`{"statement":{"effect":"allow","action":[""],"resource":"*"}}`, `"action" contains an empty string`},
		{`{"statement":{"effect":"allow","action":null,"resource":"*"}}`, `"action" is not a string or a list`},
		{`{"statement":{` + s + `,"condition":{"string_equal":{"a":"1"},"String_equal":{"a":"2"}}}}`, `"String_equal" occurs twice`},
		{`{"statement":{` + s + `,"condition":{"string_equal":{"cos:Prefix":"1","cos:prefix":"2"}}}}`, `"cos:prefix" occurs twice`},
		{`{"statement":{` + s + `,"condition":{"StringEquals":{"a":"1"}}}}`, `unknown operator "StringEquals"`},
		{`{"statement":{` + s + `,"condition":{"bool_equal":"x"}}}`, "bool_equal is not an object"},
		{`{"statement":{` + s + `,"condition":{"bool_equal":{"":"x"}}}}`, "the key of the condition is empty"},
		{`{"statement":{` + s + `,"condition":{"bool_equal":{"a":{}}}}}`, `"a" is not a string`},
		{`{"statement":{` + s + `,"principal":"qcs::cam::anyone:anyone"}}`, `principal must be "*" or an object with qcs, federated or service`},
		{`{"statement":{` + s + `,"principal":{"AWS":"x"}}}`, `unknown kind of principal "AWS"`},
		{`{"statement":{` + s + `,"principal":{}}}`, `principal must be "*" or an object with`},
		{`{"statement":[{` + s + `},{` + s + `,"principal":"*"}]}`, "statement[0] contains no principal"},
		{`{"statement":{` + s + `,"principal":{"federated":"x"}}}`, "a trust policy must not contain one"},
		{`{"statement":{"effect":"allow","notaction":"a","not_action":"b","resource":"*"}}`, `"not_action" occurs twice`},
		{`{"statement":{` + s + `,"sid":"a","id":"b"}}`, `"id" occurs twice`},
		{`{"RoleInfo":{"PolicyDocument":` + goodTrust + `},"PolicyDocument":` + goodRole + `}`, "line 1: the object contains both RoleInfo and PolicyDocument"},
		{`{"PolicyDocument":` + goodRole + `,"tenants":{}}`, "the object contains both PolicyDocument and tenants"},
		{`{"RoleInfo":{"RoleName":"x"}}`, "contains no PolicyDocument"},
		{`{"PolicyDocument":"%7B%zz"}`, "not URL-encoded"},
		{`{"PolicyVersion":{"Document":{"statement":{` + s + `,"principal":"*"}}}}`, "a role policy must not contain one"},
		{`{"tenants":{"a":{"trust_policy":{}}}}`, `tenant "a": trust_policy: line 1: the policy has no statement`},
		{`{"tenants":{"a":{"x":{}}}}`, `unknown member "x"`},
		{`{"tenants":[]}`, "unknown member"},
		{`{"tenants":{"a":{"role_policy":` + strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60) + `}}}`, "nested too deeply"},
		{`{"notes":"` + strings.Repeat("x", 5<<20) + `"}`, "has more than 4194304 bytes"},
	} {
		docs, err := tencent.Parse("f.json", []byte(tc.doc))
		if !errors.Is(err, policy.ErrDocument) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.80s: %v, %v, want %s", tc.doc, docs, err, tc.want)
		}
	}
}

// FuzzParse: neither the parser nor the checker panics, and a parsed policy can be parsed
// again, with the same meaning.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{goodTrust, goodRole, goodBucket} {
		f.Add([]byte(seed))
		f.Add([]byte(`{"Response":{"PolicyDocument":` + quoted(seed) + `}}`))
		f.Add([]byte(`{"PolicyDocument":"` + url.PathEscape(seed) + `"}`))
	}
	for _, o := range golden {
		d, err := tencent.Generate(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(d.JSON())
	}
	for _, s := range []string{
		`{"statement":{"effect":"allow","action":"*","resource":"${"}}`,
		`{"statement":{"effect":"deny","principal":"*","action":"a","resource":"b","condition":{"bool_equal":{}}}}`,
		`{"statement":{"effect":"allow","action":"cos:*","resource":["qcs::cos:::","qcs::cos:r:uid/1:b-1/bots/${}x*"],"condition":{"string_like":{"cos:prefix":["${","bots%2","%2A*"]}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tencent.Recognise(data)
		docs, err := tencent.Parse("f", data)
		if err != nil {
			if !errors.Is(err, policy.ErrDocument) || docs != nil {
				t.Fatalf("%v, %v", docs, err)
			}
			return
		}
		for _, finding := range tencent.Check(docs, tencent.CheckOptions{Bucket: "vault-1250000000", Issuer: issuer, Audience: "vault"}) {
			if finding.Where() == "" {
				t.Fatal("a finding has no location")
			}
		}
		tencent.Check(docs, tencent.CheckOptions{})
		for _, d := range docs {
			again, err := tencent.Parse("f", fmt.Appendf(nil, `{"PolicyDocument":%s}`, d.Policy))
			if err != nil {
				t.Fatalf("%s: %v", d.Policy, err)
			}
			if diff := cmp.Diff(d.Policy, again[0].Policy); diff != "" {
				t.Fatalf("%s (-first +second):\n%s", d.Policy, diff)
			}
		}
	})
}
