package costest

import (
	"net/http"
	"net/url"
	"strings"
)

// A param is one parameter of a query.
type param struct{ name, value string }

// A query contains the parameters of a request, in their order.
type query []param

// parseQuery decodes a query. A + means a space.
func parseQuery(raw string) (query, error) {
	var q query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, failure(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
		}
		q = append(q, param{n, v})
	}
	return q, nil
}

// lookup returns a parameter. The case of the name does not matter, because COS accepts versionId
// and VersionId.
func (q query) lookup(name string) (string, bool) {
	for _, p := range q {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

func (q query) get(name string) string {
	v, _ := q.lookup(name)
	return v
}

func (q query) has(name string) bool {
	_, ok := q.lookup(name)
	return ok
}

// rawPath returns the path as the client sent it. If the client encoded it differently from
// net/url, net/url would encode it again.
func rawPath(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, absolute := strings.Cut(raw, "://"); absolute && !strings.HasPrefix(raw, "/") {
		_, raw, _ = strings.Cut(rest, "/")
		return "/" + raw
	}
	return raw
}

// decodePath decodes a raw path once. Like the service, it decodes + as a space.
func decodePath(escaped string) (string, error) {
	path, err := url.PathUnescape(strings.ReplaceAll(escaped, "+", " "))
	if err != nil {
		return "", failure(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	return path, nil
}

// encode percent-encodes all characters except A-Z a-z 0-9 - _ . ~ and those in keep.
func encode(s, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-_.~", c) >= 0, strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
