package audit

import (
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// dash returns the text of a field, which is "-" if the log does not contain it.
func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// number parses a field with a number that is not negative, or a dash.
func number(s string) (n int64, ok bool) {
	if s == "-" {
		return 0, true
	}
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// status parses a field with an HTTP status, or a dash.
func status(s string) (n int, ok bool) {
	if s == "-" {
		return 0, true
	}
	if len(s) != 3 || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && s[1] >= '0' && s[1] <= '9'
}

// bracketed parses a time in brackets, such as [06/Feb/2019:00:00:38 +0000], at the start of text, and
// returns what follows.
func bracketed(text, layout string) (t time.Time, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "[")
	if !ok {
		return t, "", false
	}
	stamp, rest, ok := strings.Cut(text, "] ")
	if !ok {
		return t, "", false
	}
	t, err := time.Parse(layout, stamp)
	return t.UTC(), rest, err == nil
}

// A target is the path and the query of a request.
type target struct {
	path  string // decoded
	query string // as it was sent
}

// parseTarget parses the target of a request line, which may also be an absolute URL.
func parseTarget(uri string) (target, bool) {
	if scheme, rest, ok := strings.Cut(uri, "://"); ok && isScheme(scheme) {
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			uri = "/" + strings.TrimPrefix(rest[i:], "/")
		} else {
			uri = "/"
		}
	}
	if !strings.HasPrefix(uri, "/") {
		return target{}, false
	}
	path, query, _ := strings.Cut(uri, "?")
	return target{decoded(path), query}, true
}

func isScheme(s string) bool { return strings.EqualFold(s, "http") || strings.EqualFold(s, "https") }

// decoded replaces the escapes of a path. One that is malformed stays, because a server may accept it.
func decoded(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b, i = append(b, byte(c)), i+2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func decodedQuery(s string) string { return decoded(strings.ReplaceAll(s, "+", " ")) }

// values returns the values of a parameter in the query.
func (t target) values(name string) (all []string) {
	for part := range strings.SplitSeq(t.query, "&") {
		if n, v, _ := strings.Cut(part, "="); decodedQuery(n) == name {
			all = append(all, decodedQuery(v))
		}
	}
	return all
}

func (t target) first(name string) string {
	if all := t.values(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// listPrefix returns the prefix of a list. If the query has several, it is not known which one the store
// has used, and prefix is what they have in common.
func (t target) listPrefix() (prefix string, ambiguous bool) {
	for i, v := range t.values("prefix") {
		switch {
		case i == 0:
			prefix = v
		case v != prefix:
			ambiguous = true
			for !strings.HasPrefix(v, prefix) {
				prefix = prefix[:len(prefix)-1]
			}
		}
	}
	return prefix, ambiguous
}

// key returns the key in the path, which starts with the bucket if the request was in path style.
func (t target) key(bucket string) string {
	whole := strings.TrimPrefix(t.path, "/")
	rest, ok := strings.CutPrefix(whole, bucket)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return whole
	case rest == "":
		return ""
	}
	// The host can also name the bucket, whose name can be that of the first folder.
	_, _, _, inPath := vault.ParseKey(rest[1:])
	if _, _, _, inHost := vault.ParseKey(whole); inHost && !inPath {
		return whole
	}
	return rest[1:]
}

// isDenial reports whether a response means that the caller lacks permission or authentication.
func isDenial(status int, code string) bool {
	switch code {
	case "InvalidObjectState": // 403: the object is archived
		return false
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "AccessForbidden", "Client.UnauthorizedAccess":
		return true
	}
	return status == 401 || status == 403 || unauthenticated(code)
}

// unauthenticated reports whether a code means that the store does not know who the caller is.
func unauthenticated(code string) bool {
	switch code {
	case "SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "InvalidSecurity",
		"RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "RequestExpired", "TokenRefreshRequired":
		return true
	}
	return false
}
