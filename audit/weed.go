package audit

import (
	"encoding/json"
	"strings"
	"time"
)

// A weedEntry is a record of the audit log of SeaweedFS 4.53.
type weedEntry struct {
	Bucket      string `json:"bucket"`
	Time        int64  `json:"time"` // in seconds since 1970
	Address     string `json:"remote_ip"`
	Requester   string `json:"requester"`
	ARN         string `json:"requester_arn"`
	Subject     string `json:"requester_identity"`
	AccessKeyID string `json:"access_key_id"`
	RequestID   string `json:"request_id"`
	Operation   string `json:"operation"`
	Key         string `json:"key"`
	Code        string `json:"error_code"`
	UserAgent   string `json:"user_agent"`
	Status      int    `json:"status"`
}

func parseWeed(text []byte) ([]Record, string) {
	var e weedEntry
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, "the JSON is malformed" // the error would quote the text
	}
	if e.Time <= 0 || e.Status < 0 || e.RequestID == "" {
		return nil, "the time or the id of the request is missing"
	}
	r := Record{
		Time: time.Unix(e.Time, 0).UTC(), Bucket: e.Bucket, Key: strings.TrimPrefix(e.Key, "/"), Operation: e.Operation, Verb: restVerb(e.Operation),
		Subject: e.Subject, AccessKeyID: e.AccessKeyID, Address: e.Address, UserAgent: e.UserAgent, Status: e.Status, Code: e.Code,
		RequestID: e.RequestID,
	}
	if r.Principal, r.Session = splitARN(e.ARN); r.Principal == "" {
		r.Principal = e.Requester
	}
	if e.Operation == "REST.POST.BUCKET" {
		r.Verb = VerbOther // also calls of IAM and STS
	}
	if r.Denied = isDenial(r.Status, r.Code); unauthenticated(r.Code) {
		r.Principal, r.Session, r.Subject = "", "", ""
	}
	return []Record{r}, ""
}
