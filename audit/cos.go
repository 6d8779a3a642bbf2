package audit

import (
	"strings"
	"time"
)

// The fields of a line of COS, counted from 0.
//
// https://cloud.tencent.com/document/product/436/16920
const (
	cosBucket     = 1
	cosTime       = 3
	cosEvent      = 5
	cosAddress    = 6
	cosKeyID      = 7
	cosReceived   = 9
	cosPath       = 11
	cosMethod     = 12
	cosAgent      = 13
	cosStatus     = 14
	cosCode       = 15
	cosMessage    = 16
	cosSent       = 17
	cosRequester  = 23
	cosRequestID  = 24
	cosVersion    = 26
	cosRequestURI = 29
	cosFields     = 31
)

// parseCOS parses a line of 31 fields or more: COS may add fields at the end. The documentation does not
// say how a field with blanks is written, so parseCOS accepts quotes, escapes, and a user agent or
// message with blanks.
func parseCOS(text []byte) ([]Record, string) {
	f, ambiguous, problem := cosSplit(string(text))
	if problem != "" {
		return nil, problem
	}
	r := Record{
		Bucket: dash(f[cosBucket]), Operation: dash(f[cosEvent]), Address: dash(f[cosAddress]), AccessKeyID: dash(f[cosKeyID]),
		Ambiguous: ambiguous,
	}
	var err error
	if r.Time, err = time.Parse(time.RFC3339, f[cosTime]); err != nil {
		return nil, "the time is malformed"
	}
	r.Time = r.Time.UTC()
	received, ok := number(f[cosReceived])
	if !ok {
		return nil, "a number of bytes is malformed"
	}
	r.Verb = verbOf(r.Operation)
	if r.Verb == VerbRead && strings.EqualFold(f[cosMethod], "head") {
		r.Verb = VerbStat
	}
	if ambiguous {
		r.Key = cosKey(decoded(dash(f[cosPath])), target{}, false)
		return []Record{r}, ""
	}
	r.Principal, r.RequestID, r.UserAgent = dash(f[cosRequester]), dash(f[cosRequestID]), unescaped(f[cosAgent])
	r.Version, r.Code = dash(f[cosVersion]), dash(f[cosCode])
	r.Status, _ = status(f[cosStatus])
	sent, _ := number(f[cosSent])
	uri, hasURI := targetOf(f[cosRequestURI])
	r.Key = cosKey(dash(f[cosPath]), uri, hasURI)
	switch r.Verb {
	case VerbList:
		if r.Prefix, r.Ambiguous = uri.listPrefix(); !hasURI {
			r.Ambiguous = true
		}
	case VerbRead:
		r.Bytes = sent
	case VerbWrite:
		r.Bytes = received
	}
	if r.Version == "" {
		r.Version = uri.first("versionId")
	}
	if r.Denied = isDenial(r.Status, r.Code); unauthenticated(r.Code) {
		r.Principal = ""
	}
	return []Record{r}, ""
}

// cosSplit separates the fields. The user agent and the message may contain blanks without quotes. Then
// the status, the numbers and the source of the log show where they end. If they could end at several
// places, the fields before the user agent are the only ones.
func cosSplit(text string) (fields []string, ambiguous bool, problem string) {
	before, rest, ok := cutFields(text, cosAgent)
	ok = ok && !strings.HasPrefix(strings.Join(before, ""), `"`) && !strings.Contains(strings.Join(before, " "), ` "`)
	words, closed := quotedWords(text)
	switch {
	case !closed && ok && strings.Count(rest, " ") >= cosFields-cosAgent-1:
		return before, true, "" // a client chooses the user agent
	case !closed:
		return nil, false, "a quote is missing"
	case len(words) < cosFields:
		return nil, false, "fields are missing"
	case len(words) > 1000: // the loops below take the square of this time
		return words[:cosAgent], true, ""
	}
	for s := cosAgent + 1; s < len(words)-(cosFields-cosStatus-1); s++ { // the place of the status
		if n, ok := status(words[s]); !ok || n == 0 {
			continue
		}
		for m := s + 3; m <= len(words)-(cosFields-cosSent); m++ { // the place after the message
			_, sent := number(words[m])
			_, total := number(words[m+1])
			if !sent || !total || !isSource(words[m+2]) {
				continue
			}
			if fields != nil {
				return words[:cosAgent], true, ""
			}
			fields = append(fields, words[:cosAgent]...)
			fields = append(fields, strings.Join(words[cosAgent:s], " "), words[s], words[s+1], strings.Join(words[s+2:m], " "))
			fields = append(fields, words[m:]...)
		}
	}
	if fields == nil {
		return nil, false, "the status, the numbers or the source of the log are malformed"
	}
	return fields, false, ""
}

// isSource reports whether a word is a source of a log, such as USER or CDN.
func isSource(s string) bool {
	for _, c := range s {
		if (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	return s != ""
}

// quotedWords separates words at blanks. A word in double quotes may contain blanks.
func quotedWords(text string) (words []string, ok bool) {
	for text != "" {
		var word string
		if strings.HasPrefix(text, `"`) {
			end := strings.Index(text[1:], `" `)
			if end < 0 && strings.HasSuffix(text[1:], `"`) {
				end = len(text) - 2
			}
			if end < 0 {
				return nil, false
			}
			word, text = text[1:end+1], strings.TrimPrefix(text[end+2:], " ")
		} else {
			word, text, _ = strings.Cut(text, " ")
		}
		words = append(words, word)
	}
	return words, true
}

// cosKey returns the key of a request. The path may be encoded or not, which the documentation does not
// say. The URI, which is always encoded, decides.
func cosKey(path string, uri target, hasURI bool) string {
	if hasURI && (uri.path == path || uri.path == decoded(path)) {
		path = uri.path
	}
	return strings.TrimPrefix(path, "/")
}

func unescaped(s string) string { return dash(decoded(s)) }
