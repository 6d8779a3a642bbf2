package audit

import (
	"net/url"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

// parseS3 parses a line of a server access log. It has 18 fields or more: columns were added at the end,
// and more may follow.
//
//	OWNER BUCKET [TIME] ADDRESS REQUESTER ID OPERATION KEY "METHOD URI PROTOCOL" STATUS CODE SENT SIZE
//	TOTAL TURNAROUND "REFERER" "USER AGENT" VERSION …
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
func parseS3(text []byte) ([]Record, string) {
	head, rest, ok := cutFields(string(text), 2)
	if !ok {
		return nil, "fields are missing"
	}
	r := Record{Bucket: dash(head[1])}
	if r.Time, rest, ok = bracketed(rest, "02/Jan/2006:15:04:05 -0700"); !ok {
		return nil, "the time is malformed"
	}
	if head, rest, ok = cutFields(rest, 5); !ok {
		return nil, "fields are missing"
	}
	r.Address, r.RequestID, r.Operation = dash(head[0]), dash(head[2]), dash(head[3])
	r.Principal, r.Session = splitARN(dash(head[1]))
	r.Verb = restVerb(r.Operation)
	uri, tail, found := requestURI(rest)
	switch {
	case found == 0:
		return nil, "the fields after the URI are malformed"
	case found > 1:
		r.Key, r.Ambiguous = s3Key(dash(head[4]), r.Operation, r.Bucket, target{}), true
		return []Record{r}, ""
	}
	r.Status, _ = status(tail[0])
	r.Code = dash(tail[1])
	sent, _ := number(tail[2])
	size, _ := number(tail[3])
	agent, after, problem := agentOf(tail[6])
	if problem != "" {
		return nil, problem
	}
	r.UserAgent = agent
	more := strings.Split(after, " ")
	r.Version = dash(more[0])

	target, hasURI := targetOf(uri)
	r.Key = s3Key(dash(head[4]), r.Operation, r.Bucket, target)
	switch r.Verb {
	case VerbList:
		if r.Prefix, r.Ambiguous = target.listPrefix(); !hasURI && uri != "" && uri != "-" {
			r.Ambiguous = true
		}
	case VerbRead:
		r.Bytes = sent
	case VerbWrite:
		r.Bytes = size
	}
	r.Denied = isDenial(r.Status, r.Code)
	if unauthenticated(r.Code) {
		r.Principal, r.Session = "", ""
	}
	return []Record{r}, ""
}

// cutFields cuts n fields, each followed by a blank, from the start of text.
func cutFields(text string, n int) (fields []string, rest string, ok bool) {
	for range n {
		field, after, found := strings.Cut(text, " ")
		if !found || field == "" {
			return nil, "", false
		}
		fields, text = append(fields, field), after
	}
	return fields, text, true
}

// requestURI parses the URI and the six fields after it, which are followed by the referer. S3 does not
// escape quotes, so a URI or a user agent can contain text that looks like these fields: found is the
// number of places where they can be.
func requestURI(text string) (uri string, tail []string, found int) {
	consider := func(end int) {
		fields, rest, ok := cutFields(text[end:], 6)
		if !ok {
			return
		}
		_, isStatus := status(fields[0])
		for _, f := range fields[2:] {
			_, isNumber := number(f)
			ok = ok && isNumber
		}
		if ok && isStatus && (strings.HasPrefix(rest, `"`) || strings.HasPrefix(rest, "- ")) {
			found++
			uri, tail = text[:end-1], append(fields, rest)
		}
	}
	if rest, ok := strings.CutPrefix(text, "- "); ok {
		consider(len(text) - len(rest))
	}
	if strings.HasPrefix(text, `"`) {
		for i := 1; i+1 < len(text); i++ {
			if text[i] == '"' && text[i+1] == ' ' {
				consider(i + 2)
			}
		}
	}
	return uri, tail, found
}

// agentOf cuts the referer and the user agent from the start of text. The fields after them contain no
// quotes, so the last quote ends the user agent.
func agentOf(text string) (agent, after, problem string) {
	switch rest, ok := strings.CutPrefix(text, "- "); {
	case ok:
		text = rest
	default:
		// A quote and a blank inside the referer move text between the two fields, and to no other.
		end := strings.Index(text[1:], `" "`)
		if end < 0 {
			end = strings.Index(text[1:], `" - `)
		}
		if end < 0 {
			return "", "", "the referer is malformed"
		}
		text = text[end+3:]
	}
	if after, ok := strings.CutPrefix(text, "- "); ok && !strings.Contains(after, `"`) {
		return "", after, ""
	}
	text, ok := strings.CutPrefix(text, `"`)
	end := strings.LastIndexByte(text, '"')
	if !ok || end < 0 || !strings.HasPrefix(text[end+1:], " ") {
		return "", "", "the user agent is malformed"
	}
	return dash(text[:end]), text[end+2:], ""
}

// targetOf parses "METHOD URI PROTOCOL", with its quotes.
func targetOf(request string) (target, bool) {
	fields := strings.Fields(strings.Trim(request, `"`))
	if len(fields) < 2 {
		return target{}, false
	}
	return parseTarget(fields[1])
}

// s3Key decodes a key. S3 encodes most keys twice, and those of deletions by others than a REST request
// once, so that %2520 can be a blank or the three characters %20. The URI has the key encoded once. If
// it does not help, the operation decides, and a key of a vault is preferred to any other.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html describes only one encoding.
func s3Key(logged, operation, bucket string, t target) string {
	if logged == "" {
		return ""
	}
	once, err := url.PathUnescape(logged)
	if err != nil {
		return logged
	}
	twice, err := url.PathUnescape(once)
	if err != nil || twice == once {
		return once
	}
	inURI := t.key(bucket)
	switch {
	case inURI == once:
		return once
	case inURI == twice:
		return twice
	case strings.HasPrefix(operation, "BATCH."), strings.HasPrefix(operation, "S3."):
		return once
	}
	if _, _, _, ok := vault.ParseKey(twice); ok {
		return twice
	}
	if _, _, _, ok := vault.ParseKey(once); ok {
		return once
	}
	return twice
}

// splitARN separates the session of an assumed role from the role.
func splitARN(requester string) (principal, session string) {
	if strings.Contains(requester, ":assumed-role/") {
		if i := strings.LastIndexByte(requester, '/'); i > strings.Index(requester, ":assumed-role/")+len(":assumed-role") {
			return requester[:i], requester[i+1:]
		}
	}
	return requester, ""
}

// restVerb returns the verb of an operation such as REST.GET.OBJECT.
func restVerb(operation string) Verb {
	parts := strings.SplitN(operation, ".", 3)
	if len(parts) < 3 {
		return VerbOther
	}
	method, resource := parts[1], parts[2]
	switch {
	case parts[0] == "BATCH", parts[0] == "S3": // requests of S3 itself, such as those of lifecycle rules
		switch {
		case method == "DELETE", method == "EXPIRE", resource == "DELETEMARKER":
			return VerbDelete
		case strings.HasSuffix(resource, "OBJECT"):
			return VerbWrite
		}
		return VerbOther
	case method == "COPY" && strings.HasSuffix(resource, "_GET"):
		return VerbRead
	case method == "COPY", method == "POST" && resource != "MULTI_OBJECT_DELETE" && resource != "DELETE":
		return VerbWrite
	}
	switch resource {
	case "MULTI_OBJECT_DELETE", "DELETE":
		return VerbDelete
	case "OBJECT", "PART", "UPLOAD", "UPLOADS":
		switch method {
		case "GET":
			if resource != "OBJECT" {
				return VerbList
			}
			return VerbRead
		case "HEAD":
			return VerbStat
		case "PUT":
			return VerbWrite
		case "DELETE":
			if resource != "OBJECT" {
				return VerbWrite // the end of an upload, as its start
			}
			return VerbDelete
		}
	case "BUCKET", "BUCKETVERSIONS", "SERVICE":
		if method == "GET" {
			return VerbList
		}
	}
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return VerbStat
	case "PUT", "DELETE":
		return VerbConfigure
	}
	return VerbOther
}
