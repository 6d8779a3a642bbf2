package tencent

import (
	"fmt"

	"github.com/objectvault/objectvault/policy"
)

// DefaultAuditDays is the default of [Options].AuditDays.
const DefaultAuditDays = 400

const (
	// auditPrefix is the start of the keys of logs.
	auditPrefix = "cos-access-log/"
	// auditorName is the name of the auditor's policy.
	auditorName = "objectvault-auditor"
	// deliveryRole is the role with which COS writes logs (614/46142). The console creates it, too.
	deliveryRole = "CLS_QcsRole"
)

// Audit is what an operator applies so that COS records the requests to the bucket, in another bucket
// that no tenant can read or write. The logs name the role of a request, which is the tenant's own, and no
// session.
type Audit struct {
	Bucket        string  `json:"bucket"`
	Logging       string  `json:"logging"`   // XML body of COS PUT ?logging, for the bucket with the objects (436/17054)
	Lifecycle     string  `json:"lifecycle"` // XML body of COS PUT ?lifecycle, for the audit bucket
	DeliveryRole  string  `json:"delivery_role"`
	DeliveryTrust *Policy `json:"delivery_trust_policy"` // of the role, which COS uses through the log service
	AuditorName   string  `json:"auditor_policy_name"`
	AuditorPolicy *Policy `json:"auditor_policy"` // for a person or role that reads the log, and nothing else
	AuditorReads  string  `json:"auditor_reads"`  // URL for the command vault audit --from
}

// checkAudit checks the options of an audit and sets their defaults.
func (o *Options) checkAudit() error {
	if o.AuditBucket == "" {
		if o.AuditDays != 0 {
			return policy.OptionError("the days of the audit require the name of the audit bucket")
		}
		return nil
	}
	if o.AuditDays == 0 {
		o.AuditDays = DefaultAuditDays
	}
	switch {
	case !bucketForm.MatchString(o.AuditBucket):
		return policy.OptionError("invalid name %q of the audit bucket: it must have the form NAME-APPID", o.AuditBucket)
	case o.AuditBucket == o.Bucket:
		return policy.OptionError("the audit bucket must be another bucket: otherwise each log is an object whose write is logged, and tenants could read it")
	case appIDOf(o.AuditBucket) != o.appID():
		return policy.OptionError("the audit bucket must belong to the same account: its name must end with -%s", o.appID())
	case o.AuditDays < 1 || o.AuditDays > maxDays:
		return policy.OptionError("the number of days until logs expire must be 1 to %d", maxDays)
	}
	return nil
}

// audit returns what switches the audit on, or nil.
func (o *Options) audit() *Audit {
	if o.AuditBucket == "" {
		return nil
	}
	tls := policy.Conditions{"bool_equal": {"cos:secure-transport": {"true"}}}
	return &Audit{
		Bucket: o.AuditBucket,
		Logging: fmt.Sprintf("<BucketLoggingStatus><LoggingEnabled><TargetBucket>%s</TargetBucket><TargetPrefix>%s</TargetPrefix></LoggingEnabled></BucketLoggingStatus>",
			o.AuditBucket, auditPrefix),
		Lifecycle: fmt.Sprintf("<LifecycleConfiguration><Rule><ID>objectvault-audit-expire</ID><Filter><Prefix>%s</Prefix></Filter><Status>Enabled</Status>"+
			"<Expiration><Days>%d</Days></Expiration></Rule></LifecycleConfiguration>", auditPrefix, o.AuditDays),
		DeliveryRole: deliveryRole,
		DeliveryTrust: newPolicy(Statement{
			Effect: "allow", Principal: policy.Principal{"service": {"cls.cloud.tencent.com"}}, Action: []string{"name/sts:AssumeRole"},
		}),
		AuditorName: auditorName,
		AuditorPolicy: newPolicy(
			Statement{Effect: "allow", Action: []string{"name/cos:GetObject", "name/cos:HeadObject"}, Resource: []string{o.auditResource(auditPrefix + "*")}, Condition: tls},
			Statement{
				Effect: "allow", Action: []string{"name/cos:GetBucket"}, Resource: []string{o.auditResource("*")},
				Condition: policy.Conditions{"string_like": {"cos:prefix": {encoded(auditPrefix + "*")}}, "bool_equal": {"cos:secure-transport": {"true"}}},
			},
			Statement{Effect: "allow", Action: []string{"name/cos:GetBucketLogging"}, Resource: []string{o.resource("*")}, Condition: tls},
		),
		AuditorReads: fmt.Sprintf("cos://%s/%s?region=%s", o.AuditBucket, auditPrefix, o.Region),
	}
}

// auditResource returns a key of the audit bucket, or a pattern of keys, as a resource.
func (o *Options) auditResource(key string) string {
	return "qcs::cos:" + o.Region + ":uid/" + o.appID() + ":" + o.AuditBucket + "/" + key
}

// auditDenies keep a tenant out of the audit bucket, whatever other policies of its role allow.
func (o *Options) auditDenies() []Statement {
	if o.AuditBucket == "" {
		return nil
	}
	return []Statement{{Effect: "deny", Action: []string{"name/cos:*"}, Resource: []string{o.auditResource("*")}}}
}

// auditCommands create the role of the delivery and the policy of the auditor.
func (d *Documents) auditCommands() []string {
	if d.Audit == nil {
		return nil
	}
	part := func(p string) string { return fmt.Sprintf(`"$(jq -c .audit.%s policy.json)"`, p) }
	return []string{
		"tccli cam CreateRole --RoleName " + deliveryRole + " --PolicyDocument " + part("delivery_trust_policy"),
		"tccli cam AttachRolePolicy --AttachRoleName " + deliveryRole + " --PolicyName QcloudCOSAccessForCLSRole",
		"tccli cam CreatePolicy --PolicyName " + auditorName + " --PolicyDocument " + part("auditor_policy"),
	}
}

// auditNotes returns advice about the audit.
func (d *Documents) auditNotes() []string {
	if d.Audit == nil {
		return nil
	}
	return []string{
		fmt.Sprintf("The audit bucket %s must exist in the region %s, with a private ACL, and must not be used for anything else.", d.Audit.Bucket, d.o.Region),
		fmt.Sprintf("COS writes logs with the role %s, about every five minutes, and does not guarantee that each request is in them. If the role exists, its two commands fail, and are not needed.", deliveryRole),
		fmt.Sprintf("Attach the policy %s to the person or role that reads the log with vault audit. It allows nothing else.", auditorName),
		"A log names the role of each request, and no session. Each tenant has its own role, so that the role names the tenant. CloudAudit records changes of roles and policies; whether it records requests for objects is not documented.",
	}
}
