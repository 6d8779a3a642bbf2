package credserver

import (
	"slices"
	"strings"
)

// A query has the parameters of a read or a list. The agentKeys client does not encode them, so
// net/url would misread some names.
type query struct {
	agent   string
	service string // as it was sent
}

const (
	agentParameter   = "agent_id="
	serviceParameter = "service="
)

// parseQuery parses the query of a URL. The service is the last parameter, as the client sends it,
// and extends to the end of the query: a '&', ';', '+' or '=' belongs to the name. If agent_id
// follows the service, the name ends there. Other parameters before the service are ignored.
func parseQuery(raw string) (query, error) {
	var q query
	for rest := raw; rest != ""; {
		if service, found := strings.CutPrefix(rest, serviceParameter); found {
			if at := strings.LastIndex(service, "&"+agentParameter); at >= 0 && q.agent == "" {
				q.agent, _, _ = strings.Cut(service[at+1+len(agentParameter):], "&")
				service = service[:at]
			}
			q.service = service
			break
		}
		var parameter string
		parameter, rest, _ = strings.Cut(rest, "&")
		if agent, found := strings.CutPrefix(parameter, agentParameter); found {
			if q.agent != "" {
				return query{}, badRequest("the parameter agent_id occurs twice")
			}
			q.agent = agent
		}
	}
	q.agent = unescape(q.agent)
	return q, nil
}

// names returns the names that the client may mean, in the order in which they are tried. The first is what
// the old server reads: the text up to a '&', decoded as a form, where a '+' is a space. The old server does
// not find a service such as "a+b" or "a&b", whose client does not encode it: the others are for those.
func (q query) names() (names []string) {
	first, _, _ := strings.Cut(q.service, "&")
	for _, name := range []string{unescape(strings.ReplaceAll(first, "+", " ")), unescape(first), unescape(q.service), q.service} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// unescape decodes the percent escapes of s. A '%' that is not followed by two hex digits, and a '+',
// stay as they are.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := hexValue(s[i+1]), hexValue(s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hexValue returns the value of a hex digit, or -1.
func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
