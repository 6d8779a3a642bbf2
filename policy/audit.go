package policy

import (
	"cmp"
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
		{ID: AuditOff, Meaning: "no file switches on that requests are recorded in the audit bucket", Fix: "apply the part audit of the generated documents, or pass the settings: the responses of get-bucket-logging, or of get-trail and get-event-selectors, or of COS GET ?logging"},
		{ID: AuditOpen, Meaning: "an Allow with which tenants or others can read or write the audit bucket", Fix: "allow only the delivery of the cloud to write it; --operator accepts a principal that reads it"},
		{ID: AuditLoop, Meaning: "a bucket in which its own requests are recorded, so that each record causes another, and tenants may read them", Fix: "record the requests in another bucket, which records nothing itself"},
	}
}

// An AuditTarget is a setting by which a cloud records requests in a bucket.
type AuditTarget struct {
	File   string
	Source string // the bucket whose requests are recorded; empty: the file does not name it
	Target string
	// Trail means that the setting is a trail of CloudTrail, which records the requests for objects only if
	// its event selectors select them: see [Audit].Events.
	Trail bool
	// TrailName is the ARN of the trail, or else its name; empty: the file does not name it.
	TrailName string
}

// AuditEvents are objects whose requests a trail records.
type AuditEvents struct {
	TrailName string // as in [AuditTarget]
	ARN       string // the start of the ARNs of the objects
}

// An Audit is what is known of the audit of a bucket.
type Audit struct {
	Bucket  string // where requests should be recorded; empty: any bucket
	Targets []AuditTarget
	Events  []AuditEvents
}

// Add adds the settings in a file: generated documents, the responses of s3api get-bucket-logging and of
// cloudtrail get-trail, describe-trails and get-event-selectors, and the XML of COS GET ?logging. It
// reports whether there are any.
//
// A response of get-bucket-logging does not name its bucket, so that the caller must pass the one of the
// bucket with the objects.
func (a *Audit) Add(file string, data []byte) bool {
	if text := strings.TrimSpace(string(data)); strings.HasPrefix(text, "<") {
		var status struct {
			XMLName xml.Name `xml:"BucketLoggingStatus"`
			Target  string   `xml:"LoggingEnabled>TargetBucket"`
		}
		if xml.Unmarshal([]byte(text), &status) != nil {
			return false
		}
		if status.Target != "" {
			a.Targets = append(a.Targets, AuditTarget{File: file, Target: status.Target})
		}
		return true
	}
	values, err := ParseValues(data)
	if err != nil {
		return false
	}
	before := len(a.Targets) + len(a.Events)
	for _, v := range values {
		a.walk(file, "", v)
	}
	return len(a.Targets)+len(a.Events) > before
}

// walk looks for settings in a JSON value. trail is the trail that the values around it name.
func (a *Audit) walk(file, trail string, v *Value) {
	for _, item := range v.Array {
		a.walk(file, trail, item)
	}
	trail = cmp.Or(v.member("TrailARN"), v.member("TrailName"), trail)
	// A selector of reads only, or of writes only, leaves requests out, and does not count.
	readWrite := v.member("ReadWriteType")
	narrowed := readWrite != "" && readWrite != "All"
	for _, m := range v.Object {
		switch target := m.Value.member("TargetBucket"); {
		case m.Key == "LoggingEnabled" && target != "":
			a.Targets = append(a.Targets, AuditTarget{File: file, Source: v.member("Bucket"), Target: target})
		case m.Key == "logging" && m.Value.Kind == '"': // of generated documents for Tencent
			a.Add(file, []byte(m.Value.Text))
		case m.Key == "S3BucketName" && m.Value.Text != "":
			a.Targets = append(a.Targets, AuditTarget{File: file, Target: m.Value.Text, Trail: true, TrailName: cmp.Or(trail, v.member("Name"))})
		case m.Key == "AdvancedEventSelectors":
			a.advanced(trail, m.Value)
		case m.Key == "DataResources":
			for _, r := range m.Value.Array {
				if r.member("Type") == objectType && !narrowed {
					a.addEvents(trail, r.texts("Values"))
				}
			}
		default:
			a.walk(file, trail, m.Value)
		}
	}
}

const objectType = "AWS::S3::Object"

// advanced adds the objects that advanced event selectors select. A selector with another condition may
// leave requests out, and does not count.
func (a *Audit) advanced(trail string, list *Value) {
	for _, selector := range list.Array {
		ofObjects, narrowed := false, false
		arns := []string{allObjects}
		var fields []string
		for _, m := range selector.Object {
			if m.Key != "FieldSelectors" {
				continue
			}
			for _, f := range m.Value.Array {
				field := f.member("Field")
				// More members, such as NotEquals, are further conditions.
				narrowed = narrowed || len(f.Object) > 2 || slices.Contains(fields, field)
				fields = append(fields, field)
				switch field {
				case "eventCategory":
					narrowed = narrowed || !slices.Equal(f.texts("Equals"), []string{"Data"})
				case "resources.type":
					ofObjects = slices.Contains(f.texts("Equals"), objectType)
				case "resources.ARN":
					arns = f.texts("StartsWith")
				default:
					narrowed = true
				}
			}
		}
		if ofObjects && !narrowed {
			a.addEvents(trail, arns)
		}
	}
}

func (a *Audit) addEvents(trail string, arns []string) {
	for _, arn := range arns {
		a.Events = append(a.Events, AuditEvents{trail, arn})
	}
}

// allObjects is the start of the ARN of every object.
const allObjects = "arn:aws:s3"

// covers reports whether a trail records the requests for all objects, and lists, of a bucket.
func (a Audit) covers(trail, bucket string) bool {
	return slices.ContainsFunc(a.Events, func(e AuditEvents) bool {
		if !sameTrail(e.TrailName, trail) {
			return false
		}
		start := e.ARN
		name, found := start, false
		for _, partition := range []string{"arn:aws:s3:::", "arn:aws-cn:s3:::", "arn:aws-us-gov:s3:::"} {
			if name, found = strings.CutPrefix(start, partition); found {
				break
			}
		}
		return start == allObjects || found && (name == "" || name == bucket+"/")
	})
}

// sameTrail reports whether two names can be those of one trail. An unknown name, which is empty, can be any.
func sameTrail(a, b string) bool {
	nameA, nameB := a[strings.LastIndex(a, "/")+1:], b[strings.LastIndex(b, "/")+1:]
	switch {
	case nameA == "" || nameB == "":
		return true
	case nameA == a || nameB == b: // not both are ARNs
		return nameA == nameB
	}
	return a == b
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

// texts returns the texts of a member that is a list.
func (v *Value) texts(name string) (all []string) {
	for _, m := range v.Object {
		if m.Key == name {
			for _, item := range m.Value.Array {
				all = append(all, item.Text)
			}
		}
	}
	return all
}

// Names returns the buckets in which requests are, or should be, recorded.
func (a Audit) Names() (all []string) {
	if a.Bucket != "" {
		all = append(all, a.Bucket)
	}
	for _, t := range a.Targets {
		if !slices.Contains(all, t.Target) {
			all = append(all, t.Target)
		}
	}
	return all
}

// Check returns the weaknesses of the settings. tenants are the buckets with the objects of tenants; none, or
// an empty name, if they are unknown.
func (a Audit) Check(tenants []string) (found []Finding) {
	report := func(id, file, details string) {
		for _, w := range AuditWeaknesses() {
			if w.ID == id {
				found = append(found, Finding{File: file, Part: "audit", Weakness: id, Message: w.Meaning + ": " + details, Fix: w.Fix})
			}
		}
	}
	unknown := len(tenants) == 0 || slices.Contains(tenants, "") // which buckets have objects
	uncovered := func(t AuditTarget) []string {
		return slices.DeleteFunc(slices.Clone(tenants), func(bucket string) bool { return a.covers(t.TrailName, bucket) })
	}
	works := func(t AuditTarget) bool {
		switch {
		case a.Bucket != "" && t.Target != a.Bucket:
			return false
		case t.Trail:
			return slices.ContainsFunc(a.Events, func(e AuditEvents) bool { return sameTrail(e.TrailName, t.TrailName) }) && len(uncovered(t)) == 0
		}
		return t.Source == "" || unknown || slices.Contains(tenants, t.Source)
	}
	trail := slices.IndexFunc(a.Targets, func(t AuditTarget) bool { return t.Trail && (a.Bucket == "" || t.Target == a.Bucket) })
	switch {
	case slices.ContainsFunc(a.Targets, works):
	case trail >= 0:
		report(AuditOff, a.Targets[trail].File, "no event selector of the trail selects all objects of the bucket "+strings.Join(uncovered(a.Targets[trail]), ", "))
	case a.Bucket != "":
		report(AuditOff, "-", a.Bucket)
	}
	for _, t := range a.Targets {
		if t.Target == t.Source || slices.Contains(tenants, t.Target) {
			report(AuditLoop, t.File, t.Target)
		}
	}
	return found
}
