package aws

import (
	"fmt"
	"maps"
	"slices"

	"github.com/objectvault/objectvault/policy"
)

// An AuditMethod is how AWS records the requests to the bucket.
type AuditMethod string

// The methods. The empty value means CloudTrail.
const (
	// CloudTrail records data events, usually within 15 minutes. It records every request, and costs per
	// event. https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging.html
	CloudTrail AuditMethod = "cloudtrail"
	// AccessLogs are the server access logs of S3. They cost only their storage, arrive within hours, and
	// may lack a request. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
	AccessLogs AuditMethod = "access-logs"
)

// DefaultAuditDays is the default of [Options].AuditDays.
const DefaultAuditDays = 400

// names of what the commands create for an audit.
const (
	trailName    = "objectvault"
	auditorName  = "objectvault-auditor"
	accessPrefix = "access-logs/" // of the keys of access logs in the audit bucket
)

// Audit is what an operator applies so that the cloud records the requests to the bucket, in another
// bucket that no tenant can read or write.
type Audit struct {
	Bucket            string             `json:"bucket"`
	BucketPolicy      *Policy            `json:"bucket_policy"` // of the audit bucket
	Lifecycle         *Lifecycle         `json:"lifecycle"`     // of the audit bucket
	PublicAccessBlock *PublicAccessBlock `json:"public_access_block"`
	Trail             *Trail             `json:"trail,omitempty"`
	EventSelectors    *EventSelectors    `json:"event_selectors,omitempty"`
	Logging           *Logging           `json:"logging,omitempty"`   // of the bucket with the objects
	AuditorPolicy     *Policy            `json:"auditor_policy"`      // for a person or role that reads the log, and nothing else
	AuditorPolicyName string             `json:"auditor_policy_name"` // of iam create-policy
	AuditorReads      string             `json:"auditor_reads"`       // URL for the command vault audit --from
}

// A Trail is the input of cloudtrail CreateTrail.
type Trail struct {
	Name                       string
	S3BucketName               string
	IsMultiRegionTrail         bool
	IncludeGlobalServiceEvents bool
	EnableLogFileValidation    bool
}

// EventSelectors are the input of cloudtrail PutEventSelectors.
type EventSelectors struct {
	TrailName              string
	AdvancedEventSelectors []EventSelector
}

// An EventSelector selects the events of a trail.
type EventSelector struct {
	Name           string
	FieldSelectors []FieldSelector
}

// A FieldSelector compares one field of an event.
type FieldSelector struct {
	Field      string
	Equals     []string `json:",omitempty"`
	StartsWith []string `json:",omitempty"`
}

// Logging is the input of s3 PutBucketLogging.
type Logging struct{ LoggingEnabled LoggingTarget }

// A LoggingTarget is where S3 writes server access logs.
type LoggingTarget struct {
	TargetBucket, TargetPrefix string
	TargetObjectKeyFormat      KeyFormat
}

// A KeyFormat puts the logs of each day into a folder.
type KeyFormat struct{ PartitionedPrefix PartitionedPrefix }

// A PartitionedPrefix selects the date in the key of a log.
type PartitionedPrefix struct{ PartitionDateSource string }

// checkAudit checks the options of an audit and sets their defaults.
func (o *Options) checkAudit() error {
	if o.AuditBucket == "" {
		if o.AuditMethod != "" || o.AuditDays != 0 {
			return policy.OptionError("the options of the audit require the name of the audit bucket")
		}
		return nil
	}
	if o.AuditMethod == "" {
		o.AuditMethod = CloudTrail
	}
	if o.AuditDays == 0 {
		o.AuditDays = DefaultAuditDays
	}
	switch {
	case o.Dialect == RGW:
		return policy.OptionError("an audit bucket cannot be used for an RGW 16.2: its ops log is a file or a socket of the gateway, which rgw_enable_ops_log switches on")
	case !isBucketName(o.AuditBucket):
		return policy.OptionError("invalid name %q of the audit bucket", o.AuditBucket)
	case o.AuditBucket == o.Bucket:
		return policy.OptionError("the audit bucket must be another bucket: otherwise each log is an object whose write is logged, and tenants could read it")
	case o.AuditMethod != CloudTrail && o.AuditMethod != AccessLogs:
		return policy.OptionError("the method of the audit must be cloudtrail or access-logs, not %q", o.AuditMethod)
	case o.AuditMethod == CloudTrail && o.Region == "":
		return policy.OptionError("a trail requires the region of the bucket, which is in the ARN of the trail")
	case o.AuditDays < 1 || o.AuditDays > 36500:
		return policy.OptionError("the number of days until logs expire must be 1 to 36500")
	}
	return nil
}

// audit returns what switches the audit on, or nil.
func (d *Documents) audit() *Audit {
	o := d.o
	if o.AuditBucket == "" {
		return nil
	}
	a := &Audit{
		Bucket:            o.AuditBucket,
		PublicAccessBlock: &PublicAccessBlock{true, true, true, true},
		Lifecycle: &Lifecycle{Rules: []LifecycleRule{{
			ID: "objectvault-audit-expire", Status: "Enabled",
			Expiration:                     &Expiration{Days: o.AuditDays},
			AbortIncompleteMultipartUpload: &AbortUploads{1},
		}}},
		AuditorPolicyName: auditorName,
	}
	target := "arn:" + o.Partition + ":s3:::" + o.AuditBucket
	delivery := o.trailDelivery(target)
	folder := "AWSLogs/" + o.Account + "/"
	if o.AuditMethod == AccessLogs {
		delivery, folder = o.accessLogDelivery(target), accessPrefix
		a.Logging = &Logging{LoggingTarget{o.AuditBucket, accessPrefix, KeyFormat{PartitionedPrefix{"EventTime"}}}}
	} else {
		a.Trail = &Trail{Name: trailName, S3BucketName: o.AuditBucket, EnableLogFileValidation: true}
		// The events of lists and of deletions of several objects have the ARN of no object, but its start:
		// BUCKET/. So the selector cannot be narrowed to bots/.
		a.EventSelectors = &EventSelectors{trailName, []EventSelector{{
			Name: "Objects of the bucket",
			FieldSelectors: []FieldSelector{
				{Field: "eventCategory", Equals: []string{"Data"}},
				{Field: "resources.type", Equals: []string{"AWS::S3::Object"}},
				{Field: "resources.ARN", StartsWith: []string{o.bucketARN() + "/"}},
			},
		}, {
			Name: "Changes of roles, policies and trails",
			FieldSelectors: []FieldSelector{
				{Field: "eventCategory", Equals: []string{"Management"}},
				{Field: "readOnly", Equals: []string{"false"}},
			},
		}}}
	}
	a.AuditorReads = "s3://" + o.AuditBucket + "/" + folder
	if o.Region != "" {
		a.AuditorReads += "?region=" + o.Region
	}
	a.BucketPolicy = newPolicy(append(delivery, o.auditDenies(target, d)...))
	a.AuditorPolicy = newPolicy([]Statement{
		{Sid: "ReadLogs", Effect: "Allow", Action: []string{"s3:GetObject"}, Resource: []string{target + "/" + folder + "*"}},
		{Sid: "ListLogs", Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: []string{target}, Condition: policy.Conditions{"StringLike": {"s3:prefix": {folder + "*"}}}},
		{Sid: "SeeThatTheAuditIsOn", Effect: "Allow", Action: []string{"s3:GetBucketLogging"}, Resource: []string{o.bucketARN()}},
	})
	return a
}

// trailDelivery lets CloudTrail, and nothing else, write logs.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
func (o *Options) trailDelivery(target string) []Statement {
	service := policy.Principal{"Service": {"cloudtrail.amazonaws.com"}}
	trail := policy.Conditions{"StringEquals": {"aws:SourceArn": {"arn:" + o.Partition + ":cloudtrail:" + o.Region + ":" + o.Account + ":trail/" + trailName}}}
	return []Statement{
		{Sid: "TrailChecksBucket", Effect: "Allow", Principal: service, Action: []string{"s3:GetBucketAcl"}, Resource: []string{target}, Condition: trail},
		{
			Sid: "TrailWritesLogs", Effect: "Allow", Principal: service, Action: []string{"s3:PutObject"},
			Resource:  []string{target + "/AWSLogs/" + o.Account + "/*"},
			Condition: with(trail, "StringEquals", "s3:x-amz-acl", "bucket-owner-full-control"),
		},
	}
}

// accessLogDelivery lets the log delivery of S3, and nothing else, write logs.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
func (o *Options) accessLogDelivery(target string) []Statement {
	return []Statement{{
		Sid: "S3WritesLogs", Effect: "Allow", Principal: policy.Principal{"Service": {"logging.s3.amazonaws.com"}},
		Action: []string{"s3:PutObject"}, Resource: []string{target + "/" + accessPrefix + "*"},
		Condition: policy.Conditions{"ArnLike": {"aws:SourceArn": {o.bucketARN()}}, "StringEquals": {"aws:SourceAccount": {o.Account}}},
	}}
}

// auditDenies keep tenants out of the audit bucket, whatever other policies allow, and refuse plain http.
func (o *Options) auditDenies(target string, d *Documents) []Statement {
	roles := []string{d.RoleARN}
	if o.Isolation == ByRole {
		roles = nil
		for _, id := range slices.Sorted(maps.Keys(d.Tenants)) {
			roles = append(roles, d.Tenants[id].RoleARN)
		}
	}
	all := []string{target, target + "/*"}
	return []Statement{
		{
			Sid: "DenyTenants", Effect: "Deny", Principal: policy.AnyPrincipal(), Action: []string{"s3:*"}, Resource: all,
			Condition: policy.Conditions{"ArnEquals": {"aws:PrincipalArn": roles}},
		},
		{
			Sid: "DenyInsecureTransport", Effect: "Deny", Principal: policy.AnyPrincipal(), Action: []string{"s3:*"}, Resource: all,
			Condition: policy.Conditions{"Bool": {"aws:SecureTransport": {"false"}}},
		},
	}
}

// auditCommands apply the audit.
func (d *Documents) auditCommands(part func(string) string) []string {
	a, o := d.Audit, d.o
	if a == nil {
		return nil
	}
	region := ""
	if o.Region != "" {
		region = " --region " + o.Region
	}
	var list []string
	bucket := func(call, flag, path string) {
		list = append(list, "aws s3api "+call+" --bucket "+a.Bucket+region+" --"+flag+" "+part(path))
	}
	bucket("put-public-access-block", "public-access-block-configuration", ".audit.public_access_block")
	bucket("put-bucket-lifecycle-configuration", "lifecycle-configuration", ".audit.lifecycle")
	bucket("put-bucket-policy", "policy", ".audit.bucket_policy")
	if a.Logging != nil {
		list = append(list, "aws s3api put-bucket-logging --bucket "+o.Bucket+region+" --bucket-logging-status "+part(".audit.logging"))
	} else {
		list = append(list,
			"aws cloudtrail create-trail"+region+" --cli-input-json "+part(".audit.trail"),
			"aws cloudtrail put-event-selectors"+region+" --cli-input-json "+part(".audit.event_selectors"),
			"aws cloudtrail start-logging"+region+" --name "+trailName)
	}
	return append(list, "aws iam create-policy --policy-name "+auditorName+" --policy-document "+part(".audit.auditor_policy"))
}

// auditNotes returns advice about the audit.
func (d *Documents) auditNotes() []string {
	a := d.Audit
	if a == nil {
		return nil
	}
	list := []string{
		fmt.Sprintf("The audit bucket %s must exist, and must not be used for anything else. The commands replace its policy and its lifecycle.", a.Bucket),
		fmt.Sprintf("Attach the policy %s to the person or role that reads the log with vault audit. It allows nothing else.", auditorName),
	}
	if a.Logging != nil {
		return append(list, "Server access logs arrive within hours, and S3 does not guarantee that each request is in them. If you must prove every read, use CloudTrail.")
	}
	return append(list, "CloudTrail records an event for each request to the objects of the bucket, and bills it. It also records changes of roles, policies and trails. It usually writes the events within 15 minutes.")
}

// auditTerraform writes the resources of the audit.
func (d *Documents) auditTerraform(t *policy.Terraform) {
	a, o := d.Audit, d.o
	if a == nil {
		return
	}
	bucket := policy.Quoted(a.Bucket)
	t.Resource("aws_s3_bucket_public_access_block", "audit", func() {
		t.Set("bucket", bucket)
		for _, name := range []string{"block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"} {
			t.Set(name, "true")
		}
	})
	t.Resource("aws_s3_bucket_lifecycle_configuration", "audit", func() {
		t.Set("bucket", bucket)
		t.Nested("rule", func() {
			t.Set("id", policy.Quoted(a.Lifecycle.Rules[0].ID))
			t.Set("status", policy.Quoted("Enabled"))
			t.Nested("filter", func() {})
			t.Nested("expiration", func() { t.Set("days", fmt.Sprint(o.AuditDays)) })
			t.Nested("abort_incomplete_multipart_upload", func() { t.Set("days_after_initiation", "1") })
		})
	})
	t.Resource("aws_s3_bucket_policy", "audit", func() {
		t.Set("bucket", bucket)
		t.Set("policy", policy.Encoded(a.BucketPolicy))
		t.Set("depends_on", "[aws_s3_bucket_public_access_block.audit]")
	})
	if a.Logging != nil {
		t.Resource("aws_s3_bucket_logging", "objectvault", func() {
			t.Set("bucket", policy.Quoted(o.Bucket))
			t.Set("target_bucket", bucket)
			t.Set("target_prefix", policy.Quoted(accessPrefix))
			t.Nested("target_object_key_format", func() {
				t.Nested("partitioned_prefix", func() { t.Set("partition_date_source", policy.Quoted("EventTime")) })
			})
			t.Set("depends_on", "[aws_s3_bucket_policy.audit]")
		})
	} else {
		t.Resource("aws_cloudtrail", "objectvault", func() {
			t.Set("name", policy.Quoted(a.Trail.Name))
			t.Set("s3_bucket_name", bucket)
			t.Set("include_global_service_events", "false")
			t.Set("enable_log_file_validation", "true")
			for _, s := range a.EventSelectors.AdvancedEventSelectors {
				t.Nested("advanced_event_selector", func() {
					t.Set("name", policy.Quoted(s.Name))
					for _, f := range s.FieldSelectors {
						t.Nested("field_selector", func() {
							t.Set("field", policy.Quoted(f.Field))
							if f.Equals != nil {
								t.Set("equals", policy.Quoted(f.Equals))
							}
							if f.StartsWith != nil {
								t.Set("starts_with", policy.Quoted(f.StartsWith))
							}
						})
					}
				})
			}
			t.Set("depends_on", "[aws_s3_bucket_policy.audit]")
		})
	}
	t.Resource("aws_iam_policy", "auditor", func() {
		t.Set("name", policy.Quoted(auditorName))
		t.Set("policy", policy.Encoded(a.AuditorPolicy))
	})
}
