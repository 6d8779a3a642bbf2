package policy

import (
	"encoding/xml"
	"slices"
	"strings"
)

// The ids of the weaknesses of an audit, in every dialect.
const (
	AuditOff  = "audit_off"
	AuditOpen = "audit_open"
	AuditLoop = "audit_loop"
)

// AuditWeaknesses returns the weaknesses of an audit.
func AuditWeaknesses() []Weakness {
	return []Weakness{
		{ID: AuditOff, Meaning: "no file switches on that requests are recorded in the audit bucket", Fix: "apply the part audit of the generated documents, or pass the settings of the bucket: the response of get-bucket-logging or get-trail, or of COS GET ?logging"},
		{ID: AuditOpen, Meaning: "an Allow with which tenants or others can read or write the audit bucket", Fix: "allow only the delivery of the cloud to write it; --operator accepts a principal that reads it"},
		{ID: AuditLoop, Meaning: "a bucket in which its own requests are recorded, so that each record causes another, and tenants may read them", Fix: "record the requests in another bucket, which records nothing itself"},
	}
}

// An AuditTarget is a setting by which a cloud records requests in a bucket.
type AuditTarget struct {
	File   string
	Source string // the bucket whose requests are recorded; empty: the file does not name it
	Target string
}

// AuditTargets returns the settings in a file: generated documents, the responses of s3api
// get-bucket-logging and cloudtrail get-trail or describe-trails, and the XML of COS GET ?logging.
func AuditTargets(file string, data []byte) (list []AuditTarget) {
	if text := strings.TrimSpace(string(data)); strings.HasPrefix(text, "<") {
		var status struct {
			XMLName xml.Name `xml:"BucketLoggingStatus"`
			Target  string   `xml:"LoggingEnabled>TargetBucket"`
		}
		if xml.Unmarshal([]byte(text), &status) == nil && status.Target != "" {
			list = append(list, AuditTarget{File: file, Target: status.Target})
		}
		return list
	}
	values, err := ParseValues(data)
	if err != nil {
		return nil
	}
	var walk func(v *Value)
	walk = func(v *Value) {
		for _, item := range v.Array {
			walk(item)
		}
		for _, m := range v.Object {
			switch target := m.Value.member("TargetBucket"); {
			case m.Key == "LoggingEnabled" && target != "":
				list = append(list, AuditTarget{File: file, Source: v.member("Bucket"), Target: target})
			case m.Key == "S3BucketName" && m.Value.Text != "":
				list = append(list, AuditTarget{File: file, Target: m.Value.Text})
			case m.Key == "audit" && m.Value.member("bucket") != "":
				list = append(list, AuditTarget{File: file, Target: m.Value.member("bucket")})
			default:
				walk(m.Value)
			}
		}
	}
	for _, v := range values {
		walk(v)
	}
	return list
}

// member returns the text of a member, or "".
func (v *Value) member(name string) string {
	for _, m := range v.Object {
		if m.Key == name && m.Value.Kind == '"' {
			return m.Value.Text
		}
	}
	return ""
}

// An Audit is what is known of the audit of a bucket.
type Audit struct {
	// Bucket is where requests should be recorded; empty: the only target, if there is one.
	Bucket  string
	Targets []AuditTarget
}

// Name returns the audit bucket, or "" if it is not known.
func (a Audit) Name() string {
	if a.Bucket != "" || len(a.Targets) == 0 {
		return a.Bucket
	}
	for _, t := range a.Targets {
		if t.Target != a.Targets[0].Target {
			return ""
		}
	}
	return a.Targets[0].Target
}

// Check returns the weaknesses of the settings. tenants are the buckets with the objects of tenants.
func (a Audit) Check(tenants []string) (found []Finding) {
	report := func(id, file, details string) {
		for _, w := range AuditWeaknesses() {
			if w.ID == id {
				found = append(found, Finding{File: file, Part: "audit", Weakness: id, Message: w.Meaning + ": " + details, Fix: w.Fix})
			}
		}
	}
	if a.Bucket != "" && !slices.ContainsFunc(a.Targets, func(t AuditTarget) bool { return t.Target == a.Bucket }) {
		report(AuditOff, "-", a.Bucket)
	}
	for _, t := range a.Targets {
		if t.Target == t.Source || slices.Contains(tenants, t.Target) {
			report(AuditLoop, t.File, t.Target)
		}
	}
	return found
}
