package audit

import (
	"net/url"
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
	f, problem := cosSplit(string(text))
	if problem != "" {
		return nil, problem
	}
	r := Record{
		Bucket: dash(f[cosBucket]), Operation: dash(f[cosEvent]), Address: dash(f[cosAddress]), AccessKeyID: dash(f[cosKeyID]),
		Principal: dash(f[cosRequester]), RequestID: dash(f[cosRequestID]), UserAgent: unescaped(f[cosAgent]),
		Version: dash(f[cosVersion]), Code: dash(f[cosCode]),
	}
	var err error
	if r.Time, err = time.Parse(time.RFC3339, f[cosTime]); err != nil {
		return nil, "the time is malformed"
	}
	r.Time = r.Time.UTC()
	r.Status, _ = status(f[cosStatus])
	received, ok := number(f[cosReceived])
	if !ok {
		return nil, "a number of bytes is malformed"
	}
	sent, _ := number(f[cosSent])
	uri, hasURI := targetOf(f[cosRequestURI])
	r.Key = cosKey(dash(f[cosPath]), uri, hasURI)
	r.Verb = verbOf(r.Operation)
	if r.Verb == VerbRead && strings.EqualFold(f[cosMethod], "head") {
		r.Verb = VerbStat
	}
	switch r.Verb {
	case VerbList:
		r.Prefix = uri.query.Get("prefix")
	case VerbRead:
		r.Bytes = sent
	case VerbWrite:
		r.Bytes = received
	}
	if r.Version == "" {
		r.Version = uri.query.Get("versionId")
	}
	if r.Denied = isDenial(r.Status, r.Code); unauthenticated(r.Code) {
		r.Principal = ""
	}
	return []Record{r}, ""
}

// cosSplit separates the fields. The user agent and the message may contain blanks without quotes. Then
// the status, the numbers and the source of the log show where they end.
func cosSplit(text string) ([]string, string) {
	words, ok := quotedWords(text)
	if !ok {
		return nil, "a quote is missing"
	}
	switch {
	case len(words) < cosFields:
		return nil, "fields are missing"
	case len(words) > 1000: // the loops below take the square of this time
		return nil, "there are too many blanks"
	}
	var fields []string
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
				return nil, "the line can be read in two ways"
			}
			fields = append(fields, words[:cosAgent]...)
			fields = append(fields, strings.Join(words[cosAgent:s], " "), words[s], words[s+1], strings.Join(words[s+2:m], " "))
			fields = append(fields, words[m:]...)
		}
	}
	if fields == nil {
		return nil, "the status, the numbers or the source of the log are malformed"
	}
	return fields, ""
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
	decoded, err := url.PathUnescape(path)
	if hasURI && (uri.path == path || err == nil && uri.path == decoded) {
		path = uri.path
	}
	return strings.TrimPrefix(path, "/")
}

func unescaped(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		s = decoded
	}
	return dash(s)
}
