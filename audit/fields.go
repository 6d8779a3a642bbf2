package audit

import (
	"net/url"
	"strconv"
	"strings"
	"time"
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
	path  string
	query url.Values // parameters that cannot be decoded are missing
}

func parseTarget(uri string) (target, bool) {
	if !strings.HasPrefix(uri, "/") {
		return target{}, false
	}
	path, query, _ := strings.Cut(uri, "?")
	path, err := url.PathUnescape(path)
	values, _ := url.ParseQuery(query)
	return target{path, values}, err == nil
}

// key returns the key in the path, which starts with the bucket if the request was in path style.
func (t target) key(bucket string) string {
	rest, ok := strings.CutPrefix(t.path, "/"+bucket)
	switch {
	case ok && rest == "":
		return ""
	case ok && rest[0] == '/':
		return rest[1:]
	}
	return strings.TrimPrefix(t.path, "/")
}

// isDenial reports whether a response means that the caller lacks permission or authentication.
func isDenial(status int, code string) bool {
	if status == 401 || status == 403 {
		return true
	}
	switch code {
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "AccessForbidden", "Client.UnauthorizedAccess":
		return true
	}
	return unauthenticated(code)
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
