package aws_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
)

const (
	account = "123456789012"
	issuer  = "https://broker.example"
	key     = "arn:aws:kms:eu-west-1:123456789012:key/0f0e0d0c-0b0a-0908-0706-050403020100"

	sealingKey = "arn:aws:kms:eu-west-1:123456789012:key/1f1e1d1c-1b1a-1918-1716-151413121110"
)

var thumbprint = strings.Repeat("0a", 20)

// byTag is the usual form at AWS.
func byTag() aws.Options {
	return aws.Options{Bucket: "vault", Account: account, Role: "vault", Issuer: issuer, Tag: "agentkeys_user_wallet", ExpireDays: 30}
}

func byRole() aws.Options {
	return aws.Options{
		Isolation: aws.ByRole, Bucket: "vault", Account: account, Role: "vault", Issuer: "https://token.actions.githubusercontent.com",
		Tenants: []aws.Tenant{{ID: "acme", Subject: "repo:acme/agents:ref:refs/heads/main"}, {ID: "globex", Subject: "repo:globex/agents:ref:refs/heads/main"}},
	}
}

func atRGW() aws.Options {
	return aws.Options{
		Dialect: aws.RGW, Bucket: "vault", Role: "vault", Issuer: "http://127.0.0.1:18010", Tag: "wallet", Thumbprints: []string{thumbprint},
		Audience: "vault", Tenants: []aws.Tenant{{ID: "0xaaa"}, {ID: "0xbbb"}},
	}
}

func with(o aws.Options, change func(*aws.Options)) aws.Options {
	change(&o)
	return o
}

func generate(t *testing.T, o aws.Options) *aws.Documents {
	t.Helper()
	d, err := aws.Generate(o)
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return d
}

// golden contains the options of the golden files, which were reviewed before they were added.
var golden = map[string]aws.Options{
	"aws": byTag(),
	"aws_full": with(byTag(), func(o *aws.Options) {
		o.Collection, o.ExpireDays = "credentials", 0
		o.Subject = "agentkeys:agent:0xabc"
		o.BucketKey = key
		o.KMSKey = sealingKey
		o.AllowPurge = true
		o.AllowDoctor = true
		o.Region = "eu-west-1"
		o.Thumbprints = []string{thumbprint}
	}),
	"aws_bucket": with(byTag(), func(o *aws.Options) { o.Grants = aws.InBucket }),
	"aws_cn":     with(byTag(), func(o *aws.Options) { o.Partition = "aws-cn"; o.Region = "cn-north-1" }),
	"aws_role":   with(byRole(), func(o *aws.Options) { o.ExpireDays = 30 }),
	"rgw":        atRGW(),
	"rgw_bucket": with(atRGW(), func(o *aws.Options) {
		o.Grants = aws.InBucket
		o.TLS = true
		o.Endpoint = "http://127.0.0.1:18080"
	}),
	"rgw_role": with(byRole(), func(o *aws.Options) { o.Dialect = aws.RGW; o.Account = ""; o.Issuer = "http://127.0.0.1:18010" }),
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
	compare("aws_full.tf", generate(t, golden["aws_full"]).Terraform())
	compare("aws_role.tf", generate(t, golden["aws_role"]).Terraform())
}

// matrix calls f with every combination of options that makes sense.
func matrix(t *testing.T, f func(name string, o aws.Options)) {
	n := 0
	flags := []bool{false, true}
	for _, dialect := range []aws.Dialect{aws.AWS, aws.RGW} {
		for _, isolation := range []aws.Isolation{aws.ByTag, aws.ByRole} {
			for _, grants := range []aws.Grants{aws.InRole, aws.InBucket} {
				for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
					for _, collection := range []string{"", "credentials"} {
						for _, subject := range []string{"", "agentkeys:agent:0xabc"} {
							for _, purge := range flags {
								for _, more := range flags {
									o := aws.Options{
										Dialect: dialect, Isolation: isolation, Grants: grants, Partition: partition, Collection: collection,
										Subject: subject, Bucket: "vault", Role: "vault", Issuer: issuer,
										AllowPurge: purge, AllowDoctor: more,
									}
									if collection == "" {
										o.ExpireDays = 30
									}
									if dialect == aws.AWS {
										o.Account = account
										if more {
											o.BucketKey = strings.Replace(key, "arn:aws:", "arn:"+partition+":", 1)
											o.KMSKey = strings.Replace(sealingKey, "arn:aws:", "arn:"+partition+":", 1)
										}
									} else if o.TLS = more; partition != "aws" {
										continue
									}
									if isolation == aws.ByRole && subject != "" {
										continue
									}
									for _, id := range []string{"acme", "0xaaa.b_c-d"} {
										switch {
										case isolation == aws.ByRole:
											o.Tenants = append(o.Tenants, aws.Tenant{ID: id, Subject: "sub-of-" + id})
										case dialect == aws.RGW:
											o.Tenants = append(o.Tenants, aws.Tenant{ID: id})
										}
									}
									n++
									f(fmt.Sprintf("%s/%s/%s/%s/%s/%s/%v/%v", dialect, isolation, grants, partition, collection, subject, purge, more), o)
								}
							}
						}
					}
				}
			}
		}
	}
	if n != 192 {
		t.Errorf("%d combinations", n)
	}
}

// TestPrintedIsClean: the printed documents have no weakness, and can be parsed back.
func TestPrintedIsClean(t *testing.T) {
	matrix(t, func(name string, o aws.Options) {
		d := generate(t, o)
		docs, err := aws.Parse(name, d.JSON())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		check := aws.CheckOptions{Dialect: o.Dialect, AllowPurge: o.AllowPurge, TLS: o.TLS}
		strict := check
		strict.Isolation, strict.Bucket, strict.Audience, strict.Tag = o.Isolation, o.Bucket, aws.DefaultAudience, ""
		if o.Isolation == aws.ByTag {
			strict.Tag = aws.DefaultTag
		}
		for _, check := range []aws.CheckOptions{check, strict} {
			for _, f := range aws.Check(docs, check) {
				t.Errorf("%s: %s: %s: %s", name, f.Where(), f.Weakness, f.Message)
			}
		}
		want := 0
		if d.BucketPolicy != nil {
			want++
		}
		if o.Isolation == aws.ByTag {
			want++
		}
		if d.RolePolicy != nil {
			want++
		}
		for _, tenant := range d.Tenants {
			for _, p := range []*aws.Policy{tenant.TrustPolicy, tenant.RolePolicy} {
				if p != nil {
					want++
				}
			}
		}
		if len(docs) != want {
			t.Errorf("%s: %d policies were read back, want %d", name, len(docs), want)
		}
		for _, doc := range docs {
			var p *aws.Policy
			switch {
			case doc.Tenant != "" && doc.Part == policy.TrustPolicy:
				p = d.Tenants[doc.Tenant].TrustPolicy
			case doc.Tenant != "":
				p = d.Tenants[doc.Tenant].RolePolicy
			default:
				p = map[policy.Part]*aws.Policy{policy.TrustPolicy: d.TrustPolicy, policy.RolePolicy: d.RolePolicy, policy.BucketPolicy: d.BucketPolicy}[doc.Part]
			}
			if diff := cmp.Diff(p, doc.Policy); diff != "" {
				t.Errorf("%s %s (-printed +read):\n%s", name, doc.Part, diff)
			}
		}
		for _, doc := range docs {
			if doc.Part != policy.TrustPolicy {
				within(t, name, o, doc)
			}
		}
		// No ARN names another partition.
		for _, line := range strings.Split(string(d.JSON()), "\n") {
			for _, arn := range strings.Split(line, "arn:")[1:] {
				if !strings.HasPrefix(arn, or(o.Partition, "aws")+":") {
					t.Errorf("%s: arn:%s", name, arn)
				}
			}
		}
		if o.Dialect == aws.RGW {
			for _, part := range docs {
				if text := part.Policy.String(); strings.ContainsAny(text, " ") || strings.Contains(text, "${") || strings.Contains(text, "Null") {
					t.Errorf("%s: RGW does not support %s", name, text)
				}
			}
		}
	})
}

// within checks, as text, that each Allow is limited to the prefix of its tenant.
func within(t *testing.T, name string, o aws.Options, doc aws.Document) {
	t.Helper()
	arn := "arn:" + or(o.Partition, "aws") + ":s3:::vault"
	prefix := func(tenant string) string { return "bots/" + tenant + "/" + strings.TrimPrefix(o.Collection+"/*", "/") }
	for _, s := range doc.Policy.Statement {
		if s.Effect != "Allow" {
			continue
		}
		tenant := or(doc.Tenant, "${aws:PrincipalTag/"+aws.DefaultTag+"}")
		switch tag := s.Condition["StringEquals"]["aws:PrincipalTag/"+aws.DefaultTag]; {
		case o.Isolation == aws.ByRole && doc.Tenant == "":
			role, ok := strings.CutPrefix(strings.Join(s.Principal["AWS"], " "), "arn:"+or(o.Partition, "aws")+":iam::"+o.Account+":role/vault-")
			if tenant = role; !ok {
				t.Errorf("%s: %s is for %v", name, s.Sid, s.Principal)
			}
		case o.Isolation == aws.ByTag && o.Dialect == aws.RGW:
			tenant = strings.Join(tag, " ")
		}
		if !slices.ContainsFunc(o.Tenants, func(known aws.Tenant) bool { return known.ID == tenant }) && len(o.Tenants) > 0 {
			t.Errorf("%s: %s is for %q", name, s.Sid, tenant)
		}
		kind := strings.TrimRight(s.Sid, "0123456789")
		want := map[string]string{"OwnObjects": arn + "/" + prefix(tenant), "OwnList": arn, "DeleteMany": arn, "Doctor": arn, "BucketKey": o.BucketKey, "SealingKey": o.KMSKey}[kind]
		if diff := cmp.Diff([]string{want}, s.Resource); diff != "" || want == "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, s.Sid, diff)
		}
		var wantPrefix []string
		if kind == "OwnList" {
			wantPrefix = []string{prefix(tenant)}
		}
		if diff := cmp.Diff(wantPrefix, s.Condition["StringLike"]["s3:prefix"]); diff != "" {
			t.Errorf("%s: s3:prefix of %s (-want +got):\n%s", name, s.Sid, diff)
		}
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// TestPrintedDetails checks details of documents for which there is no golden file.
func TestPrintedDetails(t *testing.T) {
	long := strings.Repeat("5", 64) // an actor_omni
	d := generate(t, with(byRole(), func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: long, Subject: "s"}} }))
	if name := d.Tenants[long].RoleName; len(name) > 64 || !strings.HasPrefix(name, "vault-") || !strings.Contains(d.Tenants[long].RolePolicy.String(), "bots/"+long+"/*") {
		t.Errorf("role %q", name)
	}
	d = generate(t, with(byTag(), func(o *aws.Options) { o.Issuer += "/realm/" }))
	if !strings.Contains(d.Notes[0], "byte for byte") || !strings.Contains(d.TrustPolicy.String(), `"broker.example/realm/:aud"`) {
		t.Errorf("notes %q, trust %s", d.Notes, d.TrustPolicy)
	}
	d = generate(t, with(byTag(), func(o *aws.Options) { o.Grants = aws.InBucket; o.BucketKey = key; o.KMSKey = sealingKey }))
	if text := d.RolePolicy.String(); strings.Contains(text, `"s3:`) || !strings.Contains(text, `"kms:ViaService":"s3.eu-west-1.amazonaws.com"`) {
		t.Errorf("a bucket policy cannot allow the use of the key, so the role policy must: %s", text)
	}
	d = generate(t, with(byTag(), func(o *aws.Options) { o.KMSKey = sealingKey }))
	if s := d.RolePolicy.Statement; len(s) != 3 || s[2].Sid != "SealingKey" || strings.Join(s[2].Action, " ") != "kms:Encrypt kms:Decrypt" ||
		strings.Join(s[2].Resource, " ") != sealingKey || s[2].Condition["Null"]["aws:PrincipalTag/"+aws.DefaultTag][0] != "false" {
		t.Errorf("the statement for the key of a key source: %s", d.RolePolicy)
	}
	if text := d.RolePolicy.String(); strings.Contains(text, "GenerateDataKey") || strings.Contains(text, "ViaService") {
		t.Errorf("the role may also use the key for the bucket: %s", text)
	}
	d = generate(t, with(atRGW(), func(o *aws.Options) { o.Thumbprints = nil }))
	if !strings.Contains(strings.Join(d.Notes, "\n"), "thumbprint") {
		t.Errorf("notes %q", d.Notes)
	}
	for name, o := range golden {
		d := generate(t, o)
		for _, c := range d.Commands {
			if !strings.HasPrefix(c, "aws ") || strings.Contains(c, "\n") {
				t.Errorf("%s: not a command of aws: %s", name, c)
			}
		}
		notes := strings.Join(d.Notes, "\n")
		bucket := d.BucketPolicy != nil
		if strings.Contains(notes, "this bucket policy, it replaces") != bucket || !strings.Contains(notes, "this lifecycle configuration, it replaces") {
			t.Errorf("%s: the notes do not state what the commands replace: %q", name, d.Notes)
		}
		denies := o.Dialect != aws.RGW && o.Isolation != aws.ByRole
		if strings.Contains(notes, "no Deny statement that limits") == denies {
			t.Errorf("%s: the note about a missing Deny statement is wrong: %q", name, d.Notes)
		}
	}
	for _, list := range [][]string{nil, {thumbprint}} {
		text := string(generate(t, with(byTag(), func(o *aws.Options) { o.Thumbprints = list })).Terraform())
		if strings.Contains(text, "\n# Without thumbprints, the provider hashicorp/aws must be a release of 2025 or later") != (list == nil) || strings.Contains(text, "thumbprint_list = ") != (list != nil) {
			t.Errorf("thumbprints %q:\n%s", list, text)
		}
	}
	d = generate(t, with(atRGW(), func(o *aws.Options) { o.Endpoint = "http://[::1]:18080" }))
	if !strings.HasPrefix(d.Commands[0], "aws --endpoint-url 'http://[::1]:18080' --region us-east-1 iam ") {
		t.Errorf("the brackets are not quoted, and are a pattern in a shell: %s", d.Commands[0])
	}
	for region, want := range map[string]string{"": "us-east-1", "eu-west-1": "eu-west-1"} {
		d = generate(t, with(atRGW(), func(o *aws.Options) { o.Endpoint, o.Region = "http://127.0.0.1:18080", region }))
		for _, c := range d.Commands {
			if !strings.HasPrefix(c, "aws --endpoint-url http://127.0.0.1:18080 --region "+want+" ") || strings.Count(c, "--region") != 1 {
				t.Errorf("aws-cli requires a region at an RGW: %s", c)
			}
		}
	}
	d = generate(t, with(atRGW(), func(o *aws.Options) { o.Thumbprints = nil }))
	if d.Lifecycle.Rules[0].AbortIncompleteMultipartUpload.DaysAfterInitiation != 1 || len(d.Lifecycle.Rules) != 1 {
		t.Errorf("without ExpireDays, the lifecycle must only abort uploads: %+v", d.Lifecycle)
	}
}

func TestOptions(t *testing.T) {
	tagged, roles, rgw := byTag(), byRole(), atRGW()
	for _, tc := range []struct {
		from   aws.Options
		change func(*aws.Options)
		want   string // empty: the options are accepted
	}{
		{tagged, func(o *aws.Options) { *o = aws.Options{} }, `bucket name ""`},
		{tagged, func(o *aws.Options) { o.Dialect = "gcs" }, `not "gcs"`},
		{tagged, func(o *aws.Options) { o.Isolation = "hope" }, `not "hope"`},
		{tagged, func(o *aws.Options) { o.Grants = "user" }, `not in "user"`},
		{tagged, func(o *aws.Options) { o.Partition = "aws-iso" }, `not "aws-iso"`},
		{tagged, func(o *aws.Options) { o.Bucket = "Vault" }, `bucket name "Vault"`},
		{tagged, func(o *aws.Options) { o.Bucket = "v*" }, "bucket"},
		{tagged, func(o *aws.Options) { o.Bucket = "a..b" }, "bucket"},
		{tagged, func(o *aws.Options) { o.Bucket = "10.0.0.1" }, "address"},
		{tagged, func(o *aws.Options) { o.Bucket = "ab" }, "bucket"},
		{tagged, func(o *aws.Options) { o.Account = "12345678901" }, "12 digits"},
		{tagged, func(o *aws.Options) { o.Account = "" }, "12 digits"},
		{tagged, func(o *aws.Options) { o.Role = "a/b" }, "role"},
		{tagged, func(o *aws.Options) { o.Role = "" }, "role"},
		{tagged, func(o *aws.Options) { o.Issuer = "http://broker.example" }, "is not https"},
		{tagged, func(o *aws.Options) { o.Issuer = "http://127.0.0.1" }, "is not https"},
		{tagged, func(o *aws.Options) { o.Issuer = "broker.example" }, "is not a URL"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example:8443" }, "has a port"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://u@broker.example" }, "has a user"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example?x=1" }, "a query"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example#" }, "a query"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example/a b" }, "in normal form"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example/*" }, "in normal form"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://*.example" }, "host"},
		{tagged, func(o *aws.Options) { o.Issuer = "https://broker.example/realms/one" }, ""},
		{tagged, func(o *aws.Options) { o.Audience = "a b" }, "audience"},
		{tagged, func(o *aws.Options) { o.Audience = "${aws:username}" }, "audience"},
		{tagged, func(o *aws.Options) { o.Subject = "${x}" }, "subject"},
		{tagged, func(o *aws.Options) { o.Tag = "a b" }, "tag"},
		{tagged, func(o *aws.Options) { o.Tag = "aws:x" }, "tag"},
		{tagged, func(o *aws.Options) { o.Tag = "x}" }, "tag"},
		{tagged, func(o *aws.Options) { o.Collection = "../x" }, "collection"},
		{tagged, func(o *aws.Options) { o.Collection = "*" }, "collection"},
		{tagged, func(o *aws.Options) { o.ExpireDays = -1 }, "36500"},
		{tagged, func(o *aws.Options) { o.Collection = "credentials" }, "all collections"}, // and ExpireDays
		{tagged, func(o *aws.Options) { o.KMSKey = "alias/x" }, "KMS key"},
		{tagged, func(o *aws.Options) { o.KMSKey = key + "*" }, "KMS key"},
		{tagged, func(o *aws.Options) { o.KMSKey = key; o.Partition = "aws-cn" }, "partition"},
		{tagged, func(o *aws.Options) { o.BucketKey = "alias/x" }, "KMS key"},
		{tagged, func(o *aws.Options) { o.KMSKey = sealingKey; o.BucketKey = key + "*" }, key + "*"},
		{tagged, func(o *aws.Options) { o.Thumbprints = []string{"abc"} }, "thumbprint"},
		{tagged, func(o *aws.Options) { o.Region = "eu west" }, "region"},
		{tagged, func(o *aws.Options) { o.Endpoint = "http://127.0.0.1" }, "dialect rgw"},
		{tagged, func(o *aws.Options) { o.TLS = true }, "always"},
		{tagged, func(o *aws.Options) { o.Tenants = roles.Tenants }, "do not name tenants"},
		{roles, func(o *aws.Options) { o.Tenants = nil }, "at least one tenant"},
		{roles, func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: "acme"}} }, `tenant "acme" has no subject`},
		{roles, func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: "acme", Subject: "a b"}} }, "subject of tenant"},
		{roles, func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: "*", Subject: "s"}} }, `tenant "*"`},
		{roles, func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: "a/b", Subject: "s"}} }, "tenant"},
		{roles, func(o *aws.Options) { o.Tenants = append(o.Tenants[:1:1], o.Tenants[0]) }, "twice"},
		{roles, func(o *aws.Options) {
			o.Tenants = append(o.Tenants[:1:1], aws.Tenant{ID: "x", Subject: o.Tenants[0].Subject})
		}, "the same subject as another tenant"},
		{roles, func(o *aws.Options) { o.Tag = "wallet" }, "a tag cannot be used"},
		{roles, func(o *aws.Options) { o.Subject = "s" }, "its own subject"},
		{roles, func(o *aws.Options) { o.Role = strings.Repeat("r", 40) }, "is too long"},
		{roles, func(o *aws.Options) { o.Grants = aws.InBucket; o.Tenants = subjects(60) }, "the bucket policy would have"},
		{roles, func(o *aws.Options) { o.Tenants = subjects(60) }, ""},
		{rgw, func(o *aws.Options) { o.Tenants = nil }, "name each tenant"},
		{rgw, func(o *aws.Options) { o.Tenants = []aws.Tenant{{ID: "acme", Subject: "s"}} }, "only if roles isolate tenants"},
		{rgw, func(o *aws.Options) { o.Account = account }, "no account"},
		{rgw, func(o *aws.Options) { o.Partition = "aws-cn" }, "the partition must be aws"},
		{rgw, func(o *aws.Options) { o.KMSKey = key }, "KMS"},
		{rgw, func(o *aws.Options) { o.BucketKey = key }, "KMS"},
		{rgw, func(o *aws.Options) { o.Issuer = "http://broker.example" }, "is not https"},
		{rgw, func(o *aws.Options) { o.Issuer = "https://broker.example:8443" }, ""},
		{rgw, func(o *aws.Options) { o.Issuer = "http://[::1]:18010" }, ""},
		{rgw, func(o *aws.Options) { o.Endpoint = "$(x)" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://$(x)" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h;id" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h&id" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://`id`" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://:80" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h:80;id" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h/;id" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h/?x=$(id)" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h/?" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://h/#$(id)" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://[::1%25$(id)]:80" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://u@h" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "ftp://h" }, "endpoint"},
		{rgw, func(o *aws.Options) { o.Endpoint = "https://s3.example:8443/rgw" }, ""},
		{rgw, func(o *aws.Options) { o.Endpoint = "http://[::1]:18080" }, ""},
		{rgw, func(o *aws.Options) { o.Issuer = "http://[::1%25$(id)]:80" }, "is not https"},
		{rgw, func(o *aws.Options) { o.Issuer = "http://127.example.com" }, "is not https"},
		{rgw, func(o *aws.Options) { o.Tenants = many(500) }, ""},
	} {
		_, err := aws.Generate(with(tc.from, tc.change))
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("Generate: %v, want success", err)
		case tc.want != "" && (!errors.Is(err, policy.ErrOptions) || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("error %v, want one with %s", err, tc.want)
		}
	}
}

func many(n int) []aws.Tenant {
	var list []aws.Tenant
	for i := range n {
		list = append(list, aws.Tenant{ID: fmt.Sprintf("0x%040d", i)})
	}
	return list
}

func subjects(n int) []aws.Tenant {
	list := many(n)
	for i := range list {
		list[i].Subject = "of-" + list[i].ID
	}
	return list
}
