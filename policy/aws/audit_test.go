package aws_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
)

// audited is byTag with an audit bucket.
func audited(method aws.AuditMethod) aws.Options {
	return with(byTag(), func(o *aws.Options) {
		o.AuditBucket, o.AuditMethod, o.Region = "vault-logs", method, "eu-west-1"
	})
}

// Only the service of the cloud can write the audit bucket, tenants are denied everything, and the auditor
// reads the logs and nothing else.
func TestAudit(t *testing.T) {
	for _, tc := range []struct {
		method  aws.AuditMethod
		service string
		folder  string
	}{
		{"", "cloudtrail.amazonaws.com", "AWSLogs/" + account + "/"},
		{aws.CloudTrail, "cloudtrail.amazonaws.com", "AWSLogs/" + account + "/"},
		{aws.AccessLogs, "logging.s3.amazonaws.com", "access-logs/"},
	} {
		d := generate(t, audited(tc.method))
		a := d.Audit
		for _, s := range a.BucketPolicy.Statement {
			switch {
			case s.Effect == "Allow" && (!slices.Equal(s.Principals(), []string{"Service " + tc.service}) || len(s.Condition) == 0):
				t.Errorf("%s: %s allows %q with %v", tc.method, s.Sid, s.Principals(), s.Condition)
			case s.Effect == "Allow" && slices.Contains(s.Action, "s3:PutObject") && s.Resource[0] != "arn:aws:s3:::vault-logs/"+tc.folder+"*":
				t.Errorf("%s: %s allows %q", tc.method, s.Sid, s.Resource)
			}
		}
		deny := a.BucketPolicy.Statement[slices.IndexFunc(a.BucketPolicy.Statement, func(s aws.Statement) bool { return s.Sid == "DenyTenants" })]
		if got := deny.Condition["ArnEquals"]["aws:PrincipalArn"]; !slices.Equal(got, []string{d.RoleARN}) {
			t.Errorf("%s: the deny is for %q", tc.method, got)
		}
		for _, s := range a.AuditorPolicy.Statement {
			for _, action := range s.Action {
				if !strings.HasPrefix(action, "s3:Get") && action != "s3:ListBucket" {
					t.Errorf("%s: the auditor may %s", tc.method, action)
				}
			}
			if slices.Contains(s.Action, "s3:GetObject") && s.Resource[0] != "arn:aws:s3:::vault-logs/"+tc.folder+"*" {
				t.Errorf("%s: the auditor may read %q", tc.method, s.Resource)
			}
		}
		if on := a.Trail != nil && a.EventSelectors != nil; on == (a.Logging != nil) || on == (tc.method == aws.AccessLogs) {
			t.Errorf("%s: trail %v, access logs %v", tc.method, a.Trail, a.Logging)
		}
		if a.Lifecycle.Rules[0].Expiration.Days != aws.DefaultAuditDays || !strings.HasPrefix(a.AuditorReads, "s3://vault-logs") {
			t.Errorf("%s: %+v, %s", tc.method, a.Lifecycle.Rules[0], a.AuditorReads)
		}
		// Each part is applied by a command, and Terraform has it, too.
		commands, tf := strings.Join(d.Commands, "\n"), string(d.Terraform())
		for _, want := range []string{".audit.bucket_policy", ".audit.lifecycle", ".audit.public_access_block", ".audit.auditor_policy"} {
			if !strings.Contains(commands, want) {
				t.Errorf("%s: no command applies %s", tc.method, want)
			}
		}
		call, resource := "cloudtrail start-logging", `"aws_cloudtrail"`
		if a.Logging != nil {
			call, resource = "put-bucket-logging --bucket vault ", `"aws_s3_bucket_logging"`
		}
		if !strings.Contains(commands, call) || !strings.Contains(tf, resource) || !strings.Contains(tf, `"aws_s3_bucket_policy" "audit"`) {
			t.Errorf("%s: commands %s\nTerraform %s", tc.method, commands, tf)
		}
	}
	all := generate(t, with(byRole(), func(o *aws.Options) { o.AuditBucket, o.AuditMethod = "vault-logs", aws.AccessLogs }))
	text := all.Audit.BucketPolicy.String()
	for id, tenant := range all.Tenants {
		if !strings.Contains(text, tenant.RoleARN) {
			t.Errorf("the role of %s is not denied", id)
		}
	}
}

func TestAuditOptions(t *testing.T) {
	for name, o := range map[string]aws.Options{
		"the same bucket":   with(audited(""), func(o *aws.Options) { o.AuditBucket = o.Bucket }),
		"invalid name":      with(audited(""), func(o *aws.Options) { o.AuditBucket = "A_b" }),
		"no region":         with(audited(""), func(o *aws.Options) { o.Region = "" }),
		"method":            audited("syslog"),
		"days":              with(audited(""), func(o *aws.Options) { o.AuditDays = -1 }),
		"days, no bucket":   with(byTag(), func(o *aws.Options) { o.AuditDays = 1 }),
		"method, no bucket": with(byTag(), func(o *aws.Options) { o.AuditMethod = aws.CloudTrail }),
		"RGW":               with(atRGW(), func(o *aws.Options) { o.AuditBucket = "vault-logs" }),
	} {
		if _, err := aws.Generate(o); !errors.Is(err, policy.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The checker finds an audit that is off, an audit bucket that others can access, and one that records
// itself. The generated documents have none of these weaknesses.
func TestCheckAudit(t *testing.T) {
	d := generate(t, audited(""))
	logs := role(`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::vault-logs/AWSLogs/*"}`)
	readable := role(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/app"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault-logs/*"}`)
	reaches := edit(goodRole, `"Resource":"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*"`,
		`"Resource":["arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/credentials/*","arn:aws:s3:::vault-logs/*"]`)
	marshalled, err := json.Marshal(d.Audit.BucketPolicy)
	if err != nil {
		t.Fatal(err)
	}
	const everyObject = `"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]}]`
	const trail = `{"Trail":{"Name":"objectvault","S3BucketName":"vault-logs"}}`
	for _, tc := range []struct {
		name    string
		bucket  string
		files   []string
		want    []string
		settled []string // files without a policy
	}{
		{"generated", "", []string{string(d.JSON())}, nil, nil},
		{"generated, named", "vault-logs", []string{string(d.JSON())}, nil, nil},
		{"generated policy of the audit bucket", "", []string{string(d.JSON()), `{"Policy":` + string(marshalled) + `}`}, nil, nil},
		{"off", "vault-logs", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, nil},
		{"elsewhere", "vault-logs", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{`{"LoggingEnabled":{"TargetBucket":"other","TargetPrefix":""}}`}},
		{"on", "vault-logs", []string{goodRole, goodTrust, goodBucket, `{"Policy":` + logs + `}`}, nil, []string{`{"LoggingEnabled":{"TargetBucket":"vault-logs"}}`}},
		{"trail without events", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{`{"Trail":{"Name":"objectvault","S3BucketName":"vault-logs"}}`}},
		{"trail of bots/ only", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]},{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::vault/bots/"]}]}]}`}},
		{"trail of reads only", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"readOnly","Equals":["true"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]}]}`}},
		{"trail", "", []string{goodRole, goodTrust, goodBucket}, nil, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"resources.type","Equals":["AWS::S3::Object"]},{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::vault/"]}]}]}`}},
		{"trail of every bucket", "", []string{goodRole, goodTrust, goodBucket}, nil, []string{trail, `{"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]}`}},
		{"trail of writes only", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"EventSelectors":[{"ReadWriteType":"WriteOnly","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]}`}},
		{"trail with an exception", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"resources.type","Equals":["AWS::S3::Object"]},{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::vault/"],"NotStartsWith":["arn:aws:s3:::vault/bots/"]}]}]}`}},
		{"trail with other events", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"TrailName":"objectvault","AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]}]}`}},
		{"trail with the category of no event", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"],"NotEquals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]}]}]}`}},
		{"trail without objects", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"],"NotEquals":["AWS::S3::Object"]}]}]}`}},
		{"trail with two conditions for the ARN", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"resources.type","Equals":["AWS::S3::Object"]},{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::vault/bots/"]},{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::vault/"]}]}]}`}},
		{"another trail, by name", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"TrailName":"another-trail",` + everyObject + `}`}},
		{"another trail, by ARN", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"TrailARN":"arn:aws:cloudtrail:eu-west-1:123456789012:trail/another-trail",` + everyObject + `}`}},
		{"another region", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{`{"trailList":[{"Name":"objectvault","TrailARN":"arn:aws:cloudtrail:eu-west-1:123456789012:trail/objectvault","S3BucketName":"vault-logs"}]}`, `{"TrailARN":"arn:aws:cloudtrail:eu-west-2:123456789012:trail/objectvault",` + everyObject + `}`}},
		{"the same trail", "", []string{goodRole, goodTrust, goodBucket}, nil, []string{`{"trailList":[{"Name":"other","S3BucketName":"vault-logs"},{"Name":"objectvault","TrailARN":"arn:aws:cloudtrail:eu-west-1:123456789012:trail/objectvault","S3BucketName":"vault-logs"}]}`, `{"TrailARN":"arn:aws:cloudtrail:eu-west-1:123456789012:trail/objectvault",` + everyObject + `}`}},
		{"the same trail, by name and ARN", "", []string{goodRole, goodTrust, goodBucket}, nil, []string{trail, `{"TrailName":"arn:aws:cloudtrail:eu-west-1:123456789012:trail/objectvault","EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]}`}},
		{"another trail, basic selectors", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{trail, `{"TrailName":"another-trail","EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]}`}},
		{"logging of another bucket", "vault-logs", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOff}, []string{`{"Bucket":"some-other-bucket","LoggingEnabled":{"TargetBucket":"vault-logs"}}`}},
		{"logging of the bucket", "vault-logs", []string{goodRole, goodTrust, goodBucket}, nil, []string{`{"Bucket":"vault","LoggingEnabled":{"TargetBucket":"vault-logs"}}`}},
		{"two targets", "", []string{goodRole, goodTrust, goodBucket, `{"Policy":` + readable + `}`}, []string{policy.AuditOpen}, []string{`{"LoggingEnabled":{"TargetBucket":"vault-logs"}}`, `{"LoggingEnabled":{"TargetBucket":"other-logs"}}`}},
		{"readable", "vault-logs", []string{goodRole, goodTrust, goodBucket, `{"Policy":` + readable + `}`}, []string{policy.AuditOpen}, []string{`{"LoggingEnabled":{"TargetBucket":"vault-logs"}}`}},
		{"a tenant's role", "", []string{reaches, goodTrust, goodBucket}, []string{policy.AuditOpen}, []string{`{"LoggingEnabled":{"TargetBucket":"vault-logs"}}`}},
		{"itself", "", []string{goodRole, goodTrust, goodBucket}, []string{policy.AuditOpen, policy.AuditLoop}, []string{`{"LoggingEnabled":{"TargetBucket":"vault"}}`}},
	} {
		var docs []aws.Document
		o := aws.CheckOptions{Audit: policy.Audit{Bucket: tc.bucket}}
		for i, text := range append(slices.Clone(tc.files), tc.settled...) {
			o.Audit.Add("file", []byte(text))
			if i >= len(tc.files) {
				continue
			}
			parsed, err := aws.Parse("file", []byte(text))
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			docs = append(docs, parsed...)
		}
		var got []string
		for _, f := range aws.Check(docs, o) {
			if strings.HasPrefix(f.Weakness, "audit_") {
				got = append(got, f.Weakness)
			} else if tc.name != "itself" {
				t.Errorf("%s: %s in %s: %s", tc.name, f.Weakness, f.Where(), f.Message)
			}
		}
		if got = slices.Compact(got); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// The finding names the file with the trail, not the first file with a setting.
func TestCheckAuditFile(t *testing.T) {
	a := policy.Audit{Bucket: "vault-logs"}
	a.Add("logging.json", []byte(`{"LoggingEnabled":{"TargetBucket":"other"}}`))
	a.Add("trail.json", []byte(`{"Trail":{"Name":"objectvault","S3BucketName":"vault-logs"}}`))
	found := a.Check([]string{"vault"})
	if len(found) != 1 || found[0].Weakness != policy.AuditOff || found[0].File != "trail.json" {
		t.Errorf("%+v, want %s in trail.json", found, policy.AuditOff)
	}
}
