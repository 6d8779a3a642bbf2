package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// An rgwEntry is an object of the ops log. Ceph 16.2.15 has no field for the object, and writes the query
// of the URI twice.
type rgwEntry struct {
	Bucket        string    `json:"bucket"`
	Object        string    `json:"object"` // of later versions
	Time          time.Time `json:"time"`
	Address       string    `json:"remote_addr"`
	User          string    `json:"user"`
	Operation     string    `json:"operation"`
	URI           string    `json:"uri"`
	Status        string    `json:"http_status"`
	Code          string    `json:"error_code"`
	Sent          int64     `json:"bytes_sent"`
	Received      int64     `json:"bytes_received"`
	Size          int64     `json:"object_size"`
	UserAgent     string    `json:"user_agent"`
	TransactionID string    `json:"trans_id"`
	AccessKeyID   string    `json:"access_key_id"`
	STS           struct {
		Role    string `json:"role_name"`
		Session string `json:"role_session"`
		Subject string `json:"sub"`
	} `json:"sts_info"`
	Headers []map[string]string `json:"http_x_headers"`
	// Milliseconds is out of range if the clock was set back.
	Milliseconds json.Number `json:"total_time"`
	Data         struct {
		Objects []struct {
			Key     string `json:"key"`
			Version string `json:"version_id"`
			Status  int    `json:"http_status"`
		} `json:"objects"`
	} `json:"op_data"`
}

const maxMilliseconds = 30 * 24 * 3600 * 1000 // of a request

var rgwVerbs = map[string]Verb{
	"get_obj": VerbRead, "stat_obj": VerbStat, "stat_bucket": VerbStat, "head_obj": VerbStat,
	"list_bucket": VerbList, "list_buckets": VerbList, "list_multipart": VerbList, "list_bucket_multiparts": VerbList,
	"put_obj": VerbWrite, "post_obj": VerbWrite, "copy_obj": VerbWrite, "init_multipart": VerbWrite,
	"complete_multipart": VerbWrite, "abort_multipart": VerbWrite,
	"delete_obj": VerbDelete, "multi_object_delete": VerbDelete,
	"get_acls": VerbStat, "get_obj_tags": VerbStat,
	"put_acls": VerbConfigure, "put_obj_tags": VerbConfigure, "delete_obj_tags": VerbConfigure,
	"create_bucket": VerbConfigure, "delete_bucket": VerbConfigure,
}

func parseRGW(text []byte) ([]Record, string) {
	var e rgwEntry
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, "the JSON is malformed" // the error would quote the text
	}
	if e.Time.IsZero() || e.Operation == "" {
		return nil, "the time or the operation is missing"
	}
	r := Record{
		Bucket: dash(e.Bucket), Time: e.Time.UTC(), Address: e.Address, Operation: e.Operation, Code: e.Code,
		Principal: e.User, Session: e.STS.Session, Subject: e.STS.Subject, AccessKeyID: e.AccessKeyID,
		UserAgent: e.UserAgent, RequestID: e.TransactionID,
	}
	if ms, err := e.Milliseconds.Int64(); err == nil && ms > 0 && ms < maxMilliseconds {
		r.Duration = time.Duration(ms) * time.Millisecond
	}
	if r.Principal == "anonymous" || unauthenticated(e.Code) {
		r.Principal = ""
	}
	if e.Status != "" {
		n, err := strconv.Atoi(e.Status)
		if err != nil || n < 0 {
			return nil, "the status is malformed"
		}
		r.Status = n
	}
	if r.Status < 400 {
		r.Code = "" // NoContent
	}
	method, uri, ok := rgwURI(e.URI)
	r.Key = dash(e.Object)
	if r.Key == "" && r.Bucket != "" {
		r.Key, r.Ambiguous = uri.rgwKey(r.Bucket), !ok
	}
	r.Verb = rgwVerb(e.Operation, method)
	r.Version = uri.rgwValue("versionId")
	r.Denied = isDenial(r.Status, r.Code)
	switch {
	case r.Verb == VerbList:
		r.Prefix, r.Ambiguous = uri.rgwValue("prefix"), !ok
	case r.Verb == VerbRead:
		r.Bytes = e.Sent
	case r.Verb == VerbWrite:
		r.Bytes = e.Received
	}
	if len(e.Data.Objects) > 0 {
		var all []Record
		for _, o := range e.Data.Objects {
			one := r
			one.Key, one.Version, one.Status, one.Code = o.Key, o.Version, o.Status, ""
			one.Denied = isDenial(one.Status, "")
			all = append(all, one)
		}
		return all, ""
	}
	if source, ok := rgwSource(e.Headers); ok {
		read := r
		read.Verb, read.Bytes = VerbRead, 0
		read.Bucket, read.Key, read.Version = source.bucket, source.key, source.version
		return []Record{read, r}, ""
	}
	return []Record{r}, ""
}

func rgwVerb(operation, method string) Verb {
	v, ok := rgwVerbs[operation]
	switch {
	case v == VerbRead && method == "HEAD":
		return VerbStat
	case ok:
		return v
	case strings.HasPrefix(operation, "list_"):
		return VerbList
	case strings.HasPrefix(operation, "get_"), strings.HasPrefix(operation, "stat_"):
		return VerbStat
	case strings.HasPrefix(operation, "put_"), strings.HasPrefix(operation, "set_"), strings.HasPrefix(operation, "delete_"):
		return VerbConfigure
	}
	return VerbOther
}

// rgwURI parses METHOD URI?QUERY?QUERY PROTOCOL, where URI is the path or the URL without its query.
func rgwURI(text string) (method string, t target, ok bool) {
	method, text, _ = strings.Cut(text, " ")
	uri, _, _ := strings.Cut(text, " ")
	path, query, _ := strings.Cut(uri, "?")
	t, ok = parseTarget(wholeEscapes(path))
	t.query = query
	if half := len(t.query) / 2; len(t.query)%2 == 1 && t.query[half] == '?' && t.query[:half] == t.query[half+1:] {
		t.query = t.query[:half]
	}
	return method, t, ok
}

// rgwKey returns the key in the path. The log has the bucket of a tenant of RGW as TENANT/BUCKET. The path has
// TENANT:BUCKET, or only BUCKET if the caller is of the same tenant. The tenant may be empty.
func (t target) rgwKey(bucket string) string {
	tenant, name, ok := strings.Cut(bucket, "/")
	if !ok {
		tenant, name = "", bucket
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(t.path, "/"), "/"); first == tenant+":"+name {
		name = first
	}
	return t.key(name)
}

// rgwValue returns the value of a parameter as RGW reads it: it decodes each parameter before it separates
// the name, and the last value replaces the others.
func (t target) rgwValue(name string) (value string) {
	for part := range strings.SplitSeq(t.query, "&") {
		if n, v, _ := strings.Cut(decodedQuery(wholeEscapes(part)), "="); n == name {
			value = v
		}
	}
	return value
}

// wholeEscapes cuts an escape that is not complete from the end, as RGW does: x% is the same object as x.
func wholeEscapes(s string) string {
	if i := strings.LastIndexByte(s, '%'); i >= 0 && i > len(s)-3 {
		return s[:i]
	}
	return s
}

func rgwSource(headers []map[string]string) (copySource, bool) {
	for _, h := range headers {
		for name, value := range h {
			if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "HTTP-X-AMZ-COPY-SOURCE") {
				path, query, _ := strings.Cut(value, "?")
				return parseCopySource(wholeEscapes(path) + "?" + query)
			}
		}
	}
	return copySource{}, false
}
