package audit

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// An event is a record of CloudTrail.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type event struct {
	Time      time.Time `json:"eventTime"`
	Source    string    `json:"eventSource"`
	Name      string    `json:"eventName"`
	Address   string    `json:"sourceIPAddress"`
	UserAgent string    `json:"userAgent"`
	Code      string    `json:"errorCode"`
	RequestID string    `json:"requestID"`
	Identity  identity  `json:"userIdentity"`
	// The parameters of other services have values of other types.
	Request  map[string]any `json:"requestParameters"`
	Response map[string]any `json:"responseElements"`
	More     struct {
		In  float64 `json:"bytesTransferredIn"`
		Out float64 `json:"bytesTransferredOut"`
	} `json:"additionalEventData"`
	Resources []struct {
		Type string `json:"type"`
		ARN  string `json:"ARN"`
	} `json:"resources"`
}

// An identity is the caller.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
type identity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	AccessKeyID string `json:"accessKeyId"`
	UserName    string `json:"userName"`
	InvokedBy   string `json:"invokedBy"`
	Session     struct {
		Issuer struct {
			ARN string `json:"arn"`
		} `json:"sessionIssuer"`
		WebID struct {
			Attributes map[string]any `json:"attributes"`
		} `json:"webIdFederationData"`
	} `json:"sessionContext"`
}

func parseCloudTrail(text []byte) ([]Record, string) {
	var e event
	// After a field of another type, Unmarshal continues with the next one.
	err := json.Unmarshal(text, &e)
	if err != nil && (!errors.As(err, new(*json.UnmarshalTypeError)) || e.Source == "" || isS3(e.Source)) {
		return nil, "the JSON is malformed" // the error would quote the text
	}
	if err != nil {
		return nil, ""
	}
	if e.Time.IsZero() || e.Name == "" || e.Source == "" {
		return nil, "the time, the source or the name of the event is missing"
	}
	if !isS3(e.Source) {
		return nil, ""
	}
	r := Record{
		Time: e.Time.UTC(), Bucket: e.parameter("bucketName"), Key: e.parameter("key"), Operation: e.Name, Verb: verbOf(e.Name),
		Version: e.parameter("versionId"), Address: e.Address, UserAgent: strings.TrimSuffix(strings.TrimPrefix(e.UserAgent, "["), "]"),
		Code: e.Code, RequestID: e.RequestID, AccessKeyID: e.Identity.AccessKeyID,
	}
	r.Principal, r.Session, r.Subject = e.Identity.caller()
	if r.Version == "" {
		r.Version, _ = e.Response["x-amz-version-id"].(string)
	}
	if r.Denied = isDenial(0, e.Code); unauthenticated(e.Code) {
		r.Principal, r.Session, r.Subject = "", "", ""
	}
	switch {
	case r.Verb == VerbList:
		r.Prefix = e.parameter("prefix")
	case r.Verb == VerbRead:
		r.Bytes = int64(e.More.Out)
	case r.Verb == VerbWrite:
		r.Bytes = int64(e.More.In)
	}
	if r.Key == "" && r.Verb == VerbDelete {
		if all := e.deleted(r); len(all) > 0 {
			return all, ""
		}
	}
	if source, ok := parseCopySource(e.parameter("x-amz-copy-source")); ok {
		read := r
		read.Verb, read.Bytes = VerbRead, 0
		read.Bucket, read.Key, read.Version = source.bucket, source.key, source.version
		return []Record{read, r}, ""
	}
	return []Record{r}, ""
}

// isS3 reports whether a source is S3. A trail also has the events of other services.
func isS3(source string) bool {
	return source == "s3.amazonaws.com" || strings.HasPrefix(source, "s3.amazonaws.com.")
}

func (e event) parameter(name string) string {
	s, _ := e.Request[name].(string)
	return s
}

// deleted returns a record for each object of DeleteObjects, as far as the event names them.
func (e event) deleted(r Record) (all []Record) {
	for _, o := range e.Resources {
		partition, key, ok := strings.Cut(o.ARN, ":s3:::"+r.Bucket+"/")
		ok = ok && strings.HasPrefix(partition, "arn:") // aws, aws-cn or aws-us-gov
		if o.Type != "AWS::S3::Object" || !ok || key == "" {
			continue
		}
		one := r
		one.Key = key
		all = append(all, one)
	}
	return all
}

// caller returns the ARN of the role or user, the name of the session, and the subject of the token.
func (i identity) caller() (principal, session, subject string) {
	principal, session = splitARN(i.ARN)
	switch {
	case session != "" && i.Session.Issuer.ARN != "":
		principal = i.Session.Issuer.ARN
	case i.Type == "WebIdentityUser":
		principal, subject = i.PrincipalID, i.UserName
	case principal == "" && i.InvokedBy != "":
		principal = i.InvokedBy
	case principal == "" && i.Type == "AWSAccount" && strings.Contains(i.PrincipalID, ":"):
		// A role of another account: its ARN is not logged.
		id, name, _ := strings.Cut(i.PrincipalID, ":")
		principal, session = i.AccountID+":"+id, name
	case principal == "" && i.PrincipalID != "" && i.AccountID != "ANONYMOUS_PRINCIPAL":
		principal = i.PrincipalID
	}
	for name, value := range i.Session.WebID.Attributes {
		if sub, ok := value.(string); ok && strings.HasSuffix(name, ":sub") {
			subject = sub
		}
	}
	return principal, session, subject
}

// A copySource is the value of the header x-amz-copy-source.
type copySource struct{ bucket, key, version string }

func parseCopySource(value string) (s copySource, ok bool) {
	value, query, _ := strings.Cut(value, "?")
	value = strings.TrimPrefix(decoded(value), "/")
	s.version = target{query: query}.rgwValue("versionId")
	if strings.HasPrefix(value, "arn:") { // of an access point, which the object follows
		s.bucket, s.key, ok = strings.Cut(value, "/object/")
	} else {
		s.bucket, s.key, ok = strings.Cut(value, "/")
	}
	return s, ok && s.bucket != "" && s.key != ""
}
