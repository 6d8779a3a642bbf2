package aws_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func indented(s string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "", "    "); err != nil {
		panic(err)
	}
	return b.String()
}

// TestFetched: the forms in which the AWS CLI and the API return policies.
func TestFetched(t *testing.T) {
	encoded := url.QueryEscape(goodRole) // as IAM does; a space is %20 there
	encoded = strings.ReplaceAll(encoded, "+", "%20")
	for _, tc := range []struct {
		name, doc, bare string
		part            policy.Part
	}{
		{"bare trust", goodTrust, goodTrust, policy.TrustPolicy},
		{"bare role", goodRole, goodRole, policy.RolePolicy},
		{"bare bucket", goodBucket, goodBucket, policy.BucketPolicy},
		{"get-role", `{"Role":{"Path":"/","RoleName":"vault","CreateDate":"2026-01-02T03:04:05Z","AssumeRolePolicyDocument":` + goodTrust + `,"MaxSessionDuration":3600}}`, goodTrust, policy.TrustPolicy},
		{"get-role-policy", `{"RoleName":"vault","PolicyName":"objectvault","PolicyDocument":` + goodRole + `}`, goodRole, policy.RolePolicy},
		{"GetRolePolicy of the API", `{"RoleName":"vault","PolicyName":"objectvault","PolicyDocument":"` + encoded + `"}`, goodRole, policy.RolePolicy},
		{"get-policy-version", `{"PolicyVersion":{"Document":` + goodRole + `,"VersionId":"v1","IsDefaultVersion":true}}`, goodRole, policy.RolePolicy},
		{"get-bucket-policy", `{"Policy":` + quoted(goodBucket) + `}`, goodBucket, policy.BucketPolicy},
	} {
		got, err := aws.Parse("f.json", []byte(tc.doc))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		bare, err := aws.Parse("f.json", []byte(tc.bare))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bare, got); diff != "" || len(got) != 1 || got[0].Part != tc.part || got[0].File != "f.json" {
			t.Errorf("%s: (-bare +fetched):\n%s", tc.name, diff)
		}
	}
	// IAM never encodes a space as +, so + means a plus sign.
	docs, err := aws.Parse("f", []byte(`{"PolicyDocument":"%7B%22Statement%22%3A%7B%22Sid%22%3A%22a+b%22%2C%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22a%22%2C%22Resource%22%3A%22b%22%7D%7D"}`))
	if err != nil || docs[0].Policy.Statement[0].Sid != "a+b" {
		t.Errorf("%+v, %v", docs, err)
	}
}

// TestForms: a document in any form of a command's output is the same policy.
func TestForms(t *testing.T) {
	escaped := strings.ReplaceAll(url.QueryEscape(goodRole), "+", "%20")
	pretty := "{\n    \"Role\": {\n        \"RoleName\": \"vault\",\n        \"AssumeRolePolicyDocument\": " + goodTrust + "\n    }\n}\n"
	account := `{"UserDetailList":[{"UserName":"u","Arn":"arn:aws:iam::123456789012:user/u","GroupList":["g"],"UserPolicyList":[{"PolicyName":"a","PolicyDocument":` + goodRole + `}],"AttachedManagedPolicies":[]}],
		"GroupDetailList":[{"GroupName":"g","GroupPolicyList":[{"PolicyName":"b","PolicyDocument":"` + escaped + `"}],"AttachedManagedPolicies":[]}],
		"RoleDetailList":[{"RoleName":"vault","Arn":"arn:aws:iam::123456789012:role/vault","AssumeRolePolicyDocument":` + goodTrust + `,"RolePolicyList":[],
			"AttachedManagedPolicies":[{"PolicyName":"m","PolicyArn":"arn:aws:iam::123456789012:policy/m"}],"Tags":[],"InstanceProfileList":[]}],
		"Policies":[{"PolicyName":"m","Arn":"arn:aws:iam::123456789012:policy/m","DefaultVersionId":"v2","AttachmentCount":1,"PolicyVersionList":[
			{"Document":` + goodBucket + `,"VersionId":"v1","IsDefaultVersion":false},{"Document":` + goodRole + `,"VersionId":"v2","IsDefaultVersion":true}]}],"IsTruncated":false}`
	for _, tc := range []struct {
		name, doc string
		want      []string // bare documents
	}{
		{"--query Policy", quoted(goodBucket), []string{goodBucket}},
		{"--query Policy --output text", goodBucket + "\n", []string{goodBucket}},
		{"string in a string", quoted(quoted(goodBucket)), []string{goodBucket}},
		{"response in a string", quoted(`{"Policy":` + quoted(goodBucket) + `}`), []string{goodBucket}},
		{"URL-encoded, bare", escaped + "\n", []string{goodRole}},
		{"URL-encoded in lower case, bare", regexp.MustCompile("%..").ReplaceAllStringFunc(escaped, strings.ToLower), []string{goodRole}},
		{"URL-encoded in quotes", `"` + escaped + `"`, []string{goodRole}},
		{"URL-encoded in single quotes", "'" + escaped + "'", []string{goodRole}},
		{"URL-encoded in single quotes, with white space", "' \n" + escaped + "\n'\n", []string{goodRole}},
		{"in single quotes", "'" + goodRole + "'\n", []string{goodRole}},
		{"in single quotes, over several lines", "'\n" + indented(goodRole) + "\n'", []string{goodRole}},
		{"response in single quotes", "'" + pretty + "'", []string{goodTrust}},
		{"list in single quotes", "'[" + goodRole + "," + goodBucket + "]'", []string{goodRole, goodBucket}},
		{"string in single quotes", "'" + quoted(goodRole) + "'", []string{goodRole}},
		{"two documents, each in single quotes", "'" + goodRole + "'\n'" + goodBucket + "'", []string{goodRole, goodBucket}},
		{"two documents in one pair of single quotes", "'" + goodRole + "\n" + goodBucket + "'", []string{goodRole, goodBucket}},
		{"single quotes inside", "'" + strings.ReplaceAll(goodRole, "credentials", "it's") + "'", []string{strings.ReplaceAll(goodRole, "credentials", "it's")}},
		{"single quotes in a string", quoted("'" + goodRole + "'"), []string{goodRole}},
		{"URL-encoded single quotes", url.QueryEscape("'" + goodRole + "'"), []string{goodRole}},
		{"byte order mark before single quotes", "\ufeff'" + goodRole + "'", []string{goodRole}},
		{"byte order mark inside single quotes", "'\ufeff" + goodRole + "'", []string{goodRole}},
		{"URL-encoded, with + for spaces", url.QueryEscape(goodRole), []string{goodRole}},
		{"URL-encoded twice", url.QueryEscape(escaped), []string{goodRole}},
		{"URL-encoded, with a byte order mark", "\ufeff" + escaped, []string{goodRole}},
		{"URL-encoded response", url.PathEscape(`{"Policy":` + quoted(goodBucket) + `}`), []string{goodBucket}},
		{"URL-encoded list", url.PathEscape("[" + goodRole + "]"), []string{goodRole}},
		{"URL-encoded string", url.PathEscape(quoted(goodRole)), []string{goodRole}},
		{"byte order mark", "\ufeff" + goodRole, []string{goodRole}},
		{"byte order marks in joined files", "\ufeff" + goodRole + "\r\n\ufeff" + goodTrust, []string{goodRole, goodTrust}},
		{"byte order mark in a string", quoted("\ufeff" + goodRole), []string{goodRole}},
		{"several responses", pretty + pretty + `{"Policy":` + quoted(goodBucket) + "}", []string{goodTrust, goodTrust, goodBucket}},
		{"several responses without white space", `{"Policy":` + quoted(goodBucket) + "}" + goodTrust + quoted(goodRole), []string{goodBucket, goodTrust, goodRole}},
		{"several responses, some URL-encoded", goodTrust + "\n" + escaped + "\n'" + escaped + "'\n" + goodBucket, []string{goodTrust, goodRole, goodRole, goodBucket}},
		{"a list of responses", "[" + pretty + `,{"Policy":` + quoted(goodBucket) + "}]", []string{goodTrust, goodBucket}},
		{"a list of policies", "[" + goodRole + "," + goodTrust + "]", []string{goodRole, goodTrust}},
		{"a list of strings", "[" + quoted(goodRole) + `,"` + escaped + `"]`, []string{goodRole, goodRole}},
		{"a list of lists", "[[" + goodRole + "],[" + goodTrust + "," + goodTrust + "]]", []string{goodRole, goodTrust, goodTrust}},
		{"printed documents in a list", `[{"role_policy":` + goodRole + `},{"trust_policy":` + goodTrust + `}]`, []string{goodRole, goodTrust}},
		{"list-roles", `{"Roles":[{"RoleName":"a","AssumeRolePolicyDocument":` + goodTrust + `},{"RoleName":"b","AssumeRolePolicyDocument":` + goodTrust + `}]}`, []string{goodTrust, goodTrust}},
		{"--query Role", `{"Path":"/","RoleName":"a","AssumeRolePolicyDocument":` + goodTrust + `}`, []string{goodTrust}},
		{"--query PolicyVersion", `{"Document":` + goodRole + `,"VersionId":"v1","IsDefaultVersion":true}`, []string{goodRole}},
		{"get-instance-profile", `{"InstanceProfile":{"InstanceProfileName":"i","Roles":[{"RoleName":"a","AssumeRolePolicyDocument":` + goodTrust + `}]}}`, []string{goodTrust}},
		{"get-user-policy", `{"UserName":"u","PolicyName":"p","PolicyDocument":` + goodRole + `}`, []string{goodRole}},
		{"get-group-policy", `{"GroupName":"g","PolicyName":"p","PolicyDocument":"` + escaped + `"}`, []string{goodRole}},
		{"radosgw-admin role get", `{"RoleId":"i","RoleName":"a","Path":"/","AssumeRolePolicyDocument":` + quoted(goodTrust) + `}`, []string{goodTrust}},
		{"radosgw-admin role-policy get", `{"Permission policy":` + quoted(goodRole) + `}`, []string{goodRole}},
		{"get-account-authorization-details", account, []string{goodTrust, goodRole, goodRole, goodRole}},
		{"roles of get-account-authorization-details", `[{"RoleName":"a","AssumeRolePolicyDocument":` + goodTrust + `,"RolePolicyList":[{"PolicyName":"p","PolicyDocument":` + goodRole + `}]}]`, []string{goodTrust, goodRole}},
		{"policies of get-account-authorization-details", `[{"PolicyName":"m","Arn":"a:b","PolicyVersionList":[{"Document":` + goodRole + `,"IsDefaultVersion":true}]}]`, []string{goodRole}},
	} {
		got, err := aws.Parse("f.json", []byte(tc.doc))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var want []aws.Document
		for _, bare := range tc.want {
			docs, err := aws.Parse("f.json", []byte(bare))
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

// TestLabels: if a file contains several documents, each finding names its document.
func TestLabels(t *testing.T) {
	wide := role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)
	for _, tc := range []struct{ doc, want string }{
		{wide, "role_policy Statement[0]"},
		{`{"RoleName":"r","PolicyName":"p","PolicyDocument":` + wide + `}`, "role_policy Statement[0]"},
		{wide + wide, "number 1 role_policy Statement[0], number 2 role_policy Statement[0]"},
		{`{"RoleName":"r","PolicyName":"p","PolicyDocument":` + wide + `} {"RoleName":"r","PolicyName":"q","PolicyDocument":` + wide + `}`, "role/r p role_policy Statement[0], role/r q role_policy Statement[0]"},
	} {
		docs, err := aws.Parse("f", []byte(tc.doc))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range aws.Check(docs, aws.CheckOptions{}) {
			got = append(got, f.Where())
		}
		if g := strings.Join(got, ", "); g != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.doc, g, tc.want)
		}
	}
}

func TestParsed(t *testing.T) {
	docs, err := aws.Parse("f", []byte(`{"Version":"2012-10-17","Id":"i","Statement":{"Sid":"s","Effect":"Deny","NotPrincipal":{"AWS":"a","Service":["b","c"]},
		"NotAction":"x","NotResource":["y"],"Condition":{"Bool":{"k":true},"NumericLessThan":{"n":[1,"2"]},"ForAllValues:StringNotLikeIfExists":{"z":""}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []aws.Document{{File: "f", Part: policy.BucketPolicy, Policy: &aws.Policy{Version: "2012-10-17", ID: "i", Statement: []aws.Statement{{
		Sid: "s", Effect: "Deny", NotPrincipal: policy.Principal{"AWS": {"a"}, "Service": {"b", "c"}}, NotAction: []string{"x"}, NotResource: []string{"y"},
		Condition: policy.Conditions{"Bool": {"k": {"true"}}, "NumericLessThan": {"n": {"1", "2"}}, "ForAllValues:StringNotLikeIfExists": {"z": {""}}},
	}}}}}
	if diff := cmp.Diff(want, docs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformed(t *testing.T) {
	const s = `"Effect":"Allow","Action":"s3:GetObject","Resource":"*"`
	for _, tc := range []struct{ doc, want string }{
		{"", "it is empty"},
		{" \n", "it is empty"},
		{"{", "line 1: it is not JSON"},
		{"{\n\n\"a\":x}", "line 3: it is not JSON"},
		{"{} {}", "it contains no policy"},
		{goodRole + " x", "line 5: it is not JSON"},
		{goodRole + "\n{", "line 6: it is not JSON"},
		{goodRole + " null", "expected an object"},
		{goodRole + " {}", "it contains no policy"},
		{"[" + goodRole + ",null]", "expected an object"},
		{"[" + goodRole + ",1]", "expected an object"},
		{"\xff\xfe{\x00}\x00", "it is UTF-16, not UTF-8"},
		{"\xfe\xff\x00{\x00}", "it is UTF-16, not UTF-8"},
		{"{\x00}\x00", "it is UTF-16, not UTF-8"},
		{"\x00{\x00}", "it is UTF-16, not UTF-8"},
		{"\ufeff", "it is empty"},
		{`%7B%22a%22`, "in the string of line 1"},
		{`"\"\\\"\\\\\\\"{}\\\\\\\"\\\"\""`, "expected an object"},
		{`{"RoleDetailList":[{"RoleName":"r","AssumeRolePolicyDocument":` + goodTrust + `}],"IsTruncated":true,"Marker":"m"}`, "the response is truncated"},
		{`{"RoleDetailList":[{"RoleName":"r","AssumeRolePolicyDocument":` + goodTrust + `}],"role_policy":` + goodRole + `}`, "the object contains both details of an account and role_policy"},
		{`{"RoleDetailList":[{"RoleName":"r","AssumeRolePolicyDocument":` + goodRole + `}]}`, "Statement[0] contains no Principal"},
		{`{"RoleDetailList":[]}`, "it contains no policy"},
		{`{"Policies":[{"PolicyName":"p","Arn":"arn:aws:iam::1:policy/p","DefaultVersionId":"v1"}]}`, "it contains no policy"},
		{`{"Policy":{"PolicyName":"p","Arn":"arn:aws:iam::1:policy/p","DefaultVersionId":"v1"}}`, "contains only the name of a policy: get the policy with aws iam get-policy-version"},
		{"\xff", "not UTF-8"},
		{"[]", "expected an object"},
		{`"x"`, "expected an object"},
		{"{}", "it contains no policy"},
		{"\n'{}", "line 2: the closing single quote is missing"},
		{"''", "it is empty"},
		{"'Statement'", "line 1: it is not JSON"},
		{`{"hello":1}`, `line 1: unknown member "hello"`},
		{`{"tenants":{"a":"none"}}`, `line 1: tenant "a" is not an object`},
		{`{"Statement":[]}`, "has no Statement"},
		{`{"Statement":"x"}`, "has no Statement"},
		{`{"Statement":[1]}`, "Statement[0]: line 1: the statement is not an object"},
		{`{"Version":"2020-01-01","Statement":{` + s + `}}`, `unknown Version "2020-01-01"`},
		{`{"Version":2012,"Statement":{` + s + `}}`, "Version is not a string"},
		{`{"Statements":[],"Statement":{` + s + `}}`, `unknown element "Statements" in a policy`},
		{`{"Statement":{` + s + `,"Extra":1}}`, `unknown element "Extra" in a statement`},
		{`{"Statement":{"effect":"Allow","Action":"a","Resource":"*"}}`, `unknown element "effect" in a statement`},
		{`{"Statement":{"Effect":"allow","Action":"a","Resource":"*"}}`, `Effect must be Allow or Deny, not "allow"`},
		{`{"Statement":{"Action":"a","Resource":"*"}}`, "the statement contains no Effect"},
		{`{"Statement":{"Effect":"Allow","Resource":"*"}}`, "either Action or NotAction"},
		{`{"Statement":{"Effect":"Allow","Action":"a","NotAction":"b","Resource":"*"}}`, "either Action or NotAction"},
		{`{"Statement":{"Effect":"Allow","Action":"a"}}`, "Statement[0] contains no Resource"},
		{`{"Statement":{` + s + `,"NotResource":"x"}}`, "both Resource and NotResource"},
		{`{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, `"Action" is empty`},
		{`{"Statement":{"Effect":"Allow","Action":[""],"Resource":"*"}}`, `"Action" contains an empty string`},
		{`{"Statement":{"Effect":"Allow","Action":{"a":1},"Resource":"*"}}`, `"Action" is not a string or a list`},
		{`{"Statement":{"Effect":"Allow","Action":[["a"]],"Resource":"*"}}`, `"Action" is not a string or a list`},
		{`{"Statement":{"Effect":"Allow","Action":null,"Resource":"*"}}`, `"Action" is not a string or a list`},
		{"{\"Statement\":{\n\"Effect\":\"Deny\",\n\"Effect\":\"Allow\",\"Action\":\"a\",\"Resource\":\"*\"}}", `line 3: "Effect" occurs twice`},
		{`{"Statement":{` + s + `,"Condition":{"StringEquals":{"a":"1"},"StringEquals":{"a":"2"}}}}`, `"StringEquals" occurs twice`},
		{`{"Statement":{` + s + `,"Condition":{"StringEquals":{"aws:X":"1","AWS:x":"2"}}}}`, `"AWS:x" occurs twice`},
		{`{"Statement":{` + s + `,"Condition":{"StringMatches":{"a":"1"}}}}`, `unknown operator "StringMatches"`},
		{`{"Statement":{` + s + `,"Condition":{"NullIfExists":{"a":"1"}}}}`, "unknown operator"},
		{`{"Statement":{` + s + `,"Condition":{"Bool":"x"}}}`, "Bool is not an object"},
		{`{"Statement":{` + s + `,"Condition":[]}}`, "Condition is not an object"},
		{`{"Statement":{` + s + `,"Condition":{"Bool":{"a":{}}}}}`, `"a" is not a string`},
		{`{"Statement":{` + s + `,"Principal":"arn:aws:iam::1:root"}}`, `Principal must be "*" or an object`},
		{`{"Statement":{` + s + `,"Principal":{"Aws":"x"}}}`, `unknown kind of principal "Aws"`},
		{`{"Statement":{` + s + `,"Principal":"*","NotPrincipal":"*"}}`, "both Principal and NotPrincipal"},
		{`{"Statement":[{` + s + `},{` + s + `,"Principal":"*"}]}`, "Statement[0] contains no Principal"},
		{`{"Statement":{` + s + `,"Principal":{"Federated":"x"}}}`, "a trust policy must not contain one"},
		{`{"PolicyDocument":{"Statement":{` + s + `,"Principal":"*"}}}`, "a role policy must not contain one"},
		{`{"Role":{"RoleName":"x"}}`, "contains no AssumeRolePolicyDocument"},
		{`{"Role":[]}`, "contains no AssumeRolePolicyDocument"},
		{`{"Role":{"AssumeRolePolicyDocument":` + goodTrust + `},"PolicyDocument":` + goodRole + `}`, "line 1: the object contains both Role and PolicyDocument"},
		{`{"Policy":` + quoted(goodBucket) + `,"PolicyVersion":{"Document":` + goodRole + `}}`, "the object contains both PolicyVersion and Policy"},
		{`{"role_policy":` + goodRole + `,"PolicyDocument":` + goodRole + `}`, "the object contains both PolicyDocument and role_policy"},
		{`{"tenants":{},"Role":{"AssumeRolePolicyDocument":` + goodTrust + `}}`, "the object contains both Role and tenants"},
		{`{"PolicyDocument":"%7B%zz"}`, "not URL-encoded"},
		{`{"Policy":"{\"Statement\":{},\"Statement\":{}}"}`, `in the string of line 1: line 1: "Statement" occurs twice`},
		{`{"Policy":"x"}`, "in the string of line 1"},
		{`{"tenants":{"a":{"trust_policy":{}}}}`, `tenant "a": trust_policy: line 1: the policy has no Statement`},
		{`{"tenants":{"a":{"x":{}}}}`, `unknown member "x"`},
		{`{"tenants":[]}`, "unknown member"},
		{`{"role_policy":` + strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60) + `}`, "nested too deeply"},
		{`{"role_policy":"` + strings.Repeat("x", 5<<20) + `"}`, "has more than 4194304 bytes"},
	} {
		docs, err := aws.Parse("f.json", []byte(tc.doc))
		if !errors.Is(err, policy.ErrDocument) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.80s: %v, %v, want %s", tc.doc, docs, err, tc.want)
		}
	}
}

// FuzzParse: neither the parser nor the checker panics, and a parsed policy can be parsed
// again, with the same meaning.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{goodTrust, goodRoleTrust, goodRole, goodBucket, goodRGWRole, goodRGWTrust} {
		f.Add([]byte(seed))
		f.Add([]byte(`{"Policy":` + quoted(seed) + `}`))
		f.Add([]byte(`{"PolicyDocument":"` + url.PathEscape(seed) + `"}`))
	}
	for _, o := range golden {
		d, err := aws.Generate(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(d.JSON())
	}
	for _, s := range []string{`{"Statement":{"Effect":"Allow","Action":"*","Resource":"${"}}`, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"a","Resource":"b","Condition":{"Bool":{}}}}`, `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":["arn:::::","arn:aws:s3:::b/bots/${aws:PrincipalTag/}x"],"Condition":{"StringLike":{"s3:prefix":["${","bots/$","${*}"]}}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := aws.Parse("f", data)
		if err != nil {
			if !errors.Is(err, policy.ErrDocument) || docs != nil {
				t.Fatalf("%v, %v", docs, err)
			}
			return
		}
		for _, d := range []aws.Dialect{aws.AWS, aws.RGW} {
			for _, i := range []aws.Isolation{"", aws.ByTag, aws.ByRole} {
				for _, finding := range aws.Check(docs, aws.CheckOptions{Dialect: d, Isolation: i, Bucket: "vault", Tag: "wallet", TLS: true}) {
					if finding.Where() == "" {
						t.Fatal("a finding has no location")
					}
				}
			}
		}
		for _, d := range docs {
			if d.Origin.Unseen {
				continue
			}
			again, err := aws.Parse("f", []byte(fmt.Sprintf(`{%q:%s}`, d.Part, d.Policy)))
			if err != nil {
				t.Fatalf("%s: %v", d.Policy, err)
			}
			if diff := cmp.Diff(d.Policy, again[0].Policy); diff != "" {
				t.Fatalf("%s (-first +second):\n%s", d.Policy, diff)
			}
			if rest := aws.Missing(d.Policy, again[0].Policy); len(rest.Statement) != 0 {
				t.Fatalf("Missing of %s with itself: %s", d.Policy, rest)
			}
		}
	})
}

func TestMissing(t *testing.T) {
	ours := generate(t, byTag())
	parse := func(doc string) *aws.Policy {
		docs, err := aws.Parse("f", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return docs[0].Policy
	}
	for _, tc := range []struct {
		name  string
		p     *aws.Policy
		other *aws.Policy
		want  string // the Sids of the missing statements
	}{
		{"no policy exists", ours.RolePolicy, nil, "OwnObjects OwnList"},
		{"same policy exists", ours.RolePolicy, ours.RolePolicy, ""},
		{"equivalent policy exists", ours.RolePolicy, parse(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["S3:listbucketversions","s3:ListBucket"],"Resource":"arn:aws:s3:::vault",
				"Condition":{"Null":{"aws:principaltag/agentkeys_user_wallet":false},"StringLike":{"s3:prefix":["bots/${aws:PrincipalTag/agentkeys_user_wallet}/*"]}}},
			{"Sid":"Other","Effect":"Allow","Action":["s3:AbortMultipartUpload","s3:DeleteObject","s3:PutObject","s3:GetObjectVersion","s3:GetObject"],
				"Resource":"arn:aws:s3:::vault/bots/${aws:PrincipalTag/agentkeys_user_wallet}/*","Condition":{"Null":{"aws:PrincipalTag/agentkeys_user_wallet":["False"]}}}]}`), ""},
		{"statement with another effect exists", ours.RolePolicy, parse(strings.Replace(ours.RolePolicy.String(), "Allow", "Deny", 1)), "OwnObjectsV2"},
		{"statement with another resource exists", ours.RolePolicy, parse(strings.Replace(ours.RolePolicy.String(), `"arn:aws:s3:::vault"`, `"arn:aws:s3:::Vault"`, 1)), "OwnListV2"},
		{"statement with another condition exists", ours.RolePolicy, parse(goodRole), "OwnObjects OwnList"},
		{"equivalent TLS statement exists", ours.BucketPolicy, parse(strings.Replace(goodBucket, `"Principal":"*"`, `"Principal":{"AWS":"*"}`, 1)), "DenyWithoutTag DenyOutsideOwnPrefix DenyListOutsideOwnPrefix DenyBucketItself"},
		{"Sid and its V2 exist", ours.RolePolicy, parse(`{"Statement":[{"Sid":"OwnList","Effect":"Allow","Action":"a","Resource":"b"},{"Sid":"OwnListV2","Effect":"Allow","Action":"a","Resource":"b"}]}`), "OwnObjects OwnListV3"},
	} {
		rest := aws.Missing(tc.p, tc.other)
		var sids []string
		for _, s := range rest.Statement {
			sids = append(sids, s.Sid)
		}
		if got := strings.Join(sids, " "); got != tc.want || rest.Version != "2012-10-17" {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	if text := aws.Missing(ours.RolePolicy, ours.RolePolicy).String(); text != `{"Version":"2012-10-17","Statement":[]}` {
		t.Errorf("a policy without statements is %s", text)
	}
}
