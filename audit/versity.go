package audit

import (
	"strings"
)

// parseVersity parses a line of the access log of versitygw. The columns are those of S3. The line has no
// quotes, and the key is not encoded.
//
//	OWNER BUCKET [TIME] ADDRESS ACCOUNT ID s3_OPERATION KEY URI STATUS CODE SENT SIZE TOTAL TURNAROUND
//	REFERER USER AGENT VERSION HOSTID SigV4 CIPHER AuthHeader HOST TLS arn:aws:s3:::/BUCKET/KEY Yes
func parseVersity(text []byte) ([]Record, string) {
	if strings.HasPrefix(string(text), "log starts ") {
		return nil, ""
	}
	head, rest, ok := cutFields(string(text), 2)
	if !ok {
		return nil, "fields are missing"
	}
	r := Record{Bucket: dash(head[1])}
	if r.Time, rest, ok = bracketed(rest, "02/January/2006:15:04:05 -0700"); !ok {
		return nil, "the time is malformed"
	}
	if head, rest, ok = cutFields(rest, 4); !ok {
		return nil, "fields are missing"
	}
	r.Address, r.Principal, r.RequestID, r.Operation = dash(head[0]), dash(head[1]), dash(head[2]), dash(head[3])
	r.Verb = verbOf(strings.TrimPrefix(r.Operation, "s3_"))
	key, uri, rest, found := versityKey(r.Bucket, rest)
	switch {
	case found == 0:
		return nil, "the key and the URI are not the same"
	case found > 1:
		r.Ambiguous = true
		return []Record{r}, ""
	}
	r.Key = key
	if head, rest, ok = cutFields(rest, 6); !ok {
		return nil, "fields are missing"
	}
	if r.Status, ok = status(head[0]); !ok {
		return nil, "the status is malformed"
	}
	r.Code = dash(head[1])
	size, ok := number(head[3])
	if !ok {
		return nil, "the size is malformed"
	}
	// The ARN repeats the key, so the fields before it can be counted from the end.
	arn := " arn:aws:s3:::" + uri.path + " Yes"
	rest, ok = strings.CutSuffix(rest, arn)
	fields := strings.Split(rest, " ")
	if !ok || len(fields) < 9 {
		return nil, "the fields after the sizes are malformed"
	}
	n := len(fields)
	r.Version = dash(fields[n-7])
	r.UserAgent = dash(strings.Join(fields[1:n-7], " "))
	r.AccessKeyID = r.Principal
	switch r.Verb {
	case VerbList:
		r.Prefix, r.Ambiguous = uri.listPrefix()
	case VerbWrite:
		r.Bytes = size
	}
	if r.Denied = isDenial(r.Status, r.Code); unauthenticated(r.Code) {
		r.Principal = "" // the account is only what the client claims
	}
	return []Record{r}, ""
}

// versityKey separates the key from the URI after it. The key may contain blanks, but not the URI, and the
// decoded URI ends with the key: found is the number of places where the key can end.
func versityKey(bucket, text string) (key string, uri target, rest string, found int) {
	for i := 0; i < len(text); i++ {
		if text[i] != ' ' || i+1 == len(text) || text[i+1] != '/' {
			continue
		}
		word, after, ok := strings.Cut(text[i+1:], " ")
		t, valid := parseTarget(word)
		if !ok || !valid {
			continue
		}
		// An empty key is a dash, and so is a key that is a dash.
		inURI := strings.TrimPrefix(strings.TrimPrefix(t.path, "/"+bucket), "/")
		if inURI == text[:i] || inURI == "" && text[:i] == "-" {
			found++
			key, uri, rest = inURI, t, after
		}
	}
	return key, uri, rest, found
}
