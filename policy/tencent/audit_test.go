package tencent_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

func audited() tencent.Options {
	o := usual()
	o.AuditBucket = "logs-1250000000"
	return o
}

// Tenants are denied the audit bucket, and the auditor reads the logs and nothing else.
func TestAudit(t *testing.T) {
	d, err := tencent.Generate(audited())
	if err != nil {
		t.Fatal(err)
	}
	for id, tenant := range d.Tenants {
		if !slices.ContainsFunc(tenant.RolePolicy.Statement, func(s tencent.Statement) bool {
			return s.Effect == "deny" && len(s.Condition) == 0 && slices.Equal(s.Action, []string{"name/cos:*"}) && slices.Equal(s.Resource, []string{"qcs::cos:ap-guangzhou:uid/1250000000:logs-1250000000/*"})
		}) {
			t.Errorf("the role of %s is not denied the audit bucket", id)
		}
	}
	for _, s := range d.Audit.AuditorPolicy.Statement {
		for _, action := range s.Action {
			if !strings.HasPrefix(action, "name/cos:Get") && action != "name/cos:HeadObject" {
				t.Errorf("the auditor may %s", action)
			}
		}
	}
	for _, want := range []string{"<TargetBucket>logs-1250000000</TargetBucket>", "<TargetPrefix>cos-access-log/</TargetPrefix>"} {
		if !strings.Contains(d.Audit.Logging, want) {
			t.Errorf("logging %s", d.Audit.Logging)
		}
	}
	all := strings.Join(append(slices.Clone(d.Commands), d.Comments...), "\n")
	for _, want := range []string{"CLS_QcsRole", ".audit.auditor_policy", "vault-1250000000.cos.ap-guangzhou.myqcloud.com/?logging", "logs-1250000000.cos.ap-guangzhou.myqcloud.com/?lifecycle"} {
		if !strings.Contains(all, want) {
			t.Errorf("no command or comment has %s", want)
		}
	}
	if tf := string(d.Terraform()); !strings.Contains(tf, `log_target_bucket = "logs-1250000000"`) || !strings.Contains(tf, `"tencentcloud_cam_policy" "auditor"`) {
		t.Errorf("Terraform: %s", tf)
	}
	for name, change := range map[string]func(*tencent.Options){
		"the same bucket": func(o *tencent.Options) { o.AuditBucket = o.Bucket },
		"another account": func(o *tencent.Options) { o.AuditBucket = "logs-1250000001" },
		"invalid name":    func(o *tencent.Options) { o.AuditBucket = "logs" },
		"days":            func(o *tencent.Options) { o.AuditDays = 4000 },
		"no bucket":       func(o *tencent.Options) { o.AuditBucket, o.AuditDays = "", 1 },
	} {
		o := audited()
		change(&o)
		if _, err := tencent.Generate(o); !errors.Is(err, policy.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The checker finds an audit that is off, an audit bucket that a tenant can read, and one that records
// itself.
func TestCheckAudit(t *testing.T) {
	d, err := tencent.Generate(audited())
	if err != nil {
		t.Fatal(err)
	}
	const own = `"qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/0xabc/*"`
	open := strings.Replace(string(d.JSON()), own, own+`,"qcs::cos:ap-guangzhou:uid/1250000000:logs-1250000000/*"`, 1)
	for _, tc := range []struct {
		name, bucket, text, setting string
		want                        []string
	}{
		{"generated", "", string(d.JSON()), "", nil},
		{"another service", "", string(d.JSON()) + `{"version":"2.0","statement":[{"effect":"allow","action":["name/cam:GetRole"],"resource":["*"]}]}`, "", nil},
		{"off", "other-1250000000", string(d.JSON()), "", []string{policy.AuditOff}},
		{"readable", "", open, "", []string{policy.AuditOpen}},
		{"itself", "", string(d.JSON()), "<BucketLoggingStatus><LoggingEnabled><TargetBucket>vault-1250000000</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>", []string{policy.AuditOpen, policy.AuditLoop}},
	} {
		docs, err := tencent.Parse("file", []byte(tc.text))
		if err != nil {
			t.Fatal(err)
		}
		o := tencent.CheckOptions{Audit: policy.Audit{Bucket: tc.bucket}}
		o.Audit.Add("file", []byte(tc.text))
		o.Audit.Add("setting", []byte(tc.setting))
		var got []string
		for _, f := range tencent.Check(docs, o) {
			if strings.HasPrefix(f.Weakness, "audit_") {
				got = append(got, f.Weakness)
			}
		}
		if got = slices.Compact(got); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
