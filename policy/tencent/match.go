package tencent

import (
	"net/url"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A reach is the set of tenants whose objects a pattern covers.
type reach int

const (
	noTenant  reach = iota // nothing under bots/
	oneTenant              // bots/<tenant>/
	openEnded              // the tenant, and tenants whose names start with its name
	variable               // a variable, which COS reads as plain text
	allTenants
)

// root is the prefix of all tenants.
const root = "bots/"

// reachOf returns the tenants whose objects the pattern matches. prefix means that the pattern is
// the prefix of a list request, so "" and "bots/" match all tenants. If wild is false, * is literal.
func reachOf(pattern string, wild, prefix bool) (r reach, tenant string) {
	if strings.Contains(pattern, "${") {
		return variable, ""
	}
	lit, more := pattern, prefix
	if wild {
		if before, _, star := strings.Cut(pattern, "*"); star {
			lit, more = before, true
		}
	}
	rest, under := strings.CutPrefix(lit, root)
	switch {
	case !under && !strings.HasPrefix(root, lit):
		return noTenant, ""
	case !under && more, under && rest == "" && more:
		return allTenants, ""
	case !under:
		return noTenant, ""
	}
	if t, _, ok := strings.Cut(rest, "/"); ok {
		return oneTenant, t
	}
	if !more {
		return noTenant, "" // the object bots/x, which belongs to no tenant
	}
	return openEnded, rest
}

// startOf describes how the keys start that a pattern matches. A pattern that starts with a wildcard is usual
// in buckets without tenants. prefix means that the pattern is the prefix of a list request.
func startOf(pattern string, prefix bool) policy.Start {
	lit := pattern
	if i := strings.IndexAny(pattern, "*$"); i >= 0 {
		lit = pattern[:i]
	}
	switch {
	case strings.HasPrefix(lit, root):
		return policy.InRoot
	case lit != "" && (prefix || lit != pattern) && strings.HasPrefix(root, lit):
		return policy.MaybeInRoot
	}
	return policy.Elsewhere
}

// decoded returns the prefix that a value of cos:prefix represents; ok is false if the value is
// not encoded in the form that COS compares.
func decoded(value string, wild bool) (prefix string, ok bool) {
	prefix, err := url.QueryUnescape(value)
	if err != nil {
		return value, false
	}
	again := url.QueryEscape(prefix)
	if wild {
		again = strings.ReplaceAll(again, "%2A", "*")
	}
	return prefix, again == value || strings.Contains(value, "${")
}

// glob reports whether s matches a pattern with *. It is case-sensitive, like the actions of CAM.
func glob(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}

// A cosResource is a resource of a statement, as far as COS is concerned.
type cosResource struct {
	all     bool   // the resource may be in any bucket
	noOwner bool   // the resource has no uid/APPID
	name    string // the name of the bucket, unless all is true
	path    string // the pattern after the bucket's /; * means all objects and the bucket itself
}

// bucket reports whether the resource includes the bucket itself.
func (r cosResource) bucket() bool { return r.all || strings.Trim(r.path, "*") == "" }

// parseResource parses r as a resource of COS; ok is false for other services, and for buckets
// that are not in the list. An empty list means any bucket.
func parseResource(r string, buckets []string) (res cosResource, ok bool) {
	parts := strings.SplitN(r, ":", 6)
	if len(parts) < 6 {
		return cosResource{all: true}, strings.Contains(r, "*")
	}
	if parts[2] != "cos" && !strings.Contains(parts[2], "*") && parts[2] != "" {
		return cosResource{}, false
	}
	name, path, _ := strings.Cut(parts[5], "/")
	if old, ok := strings.CutPrefix(parts[5], "prefix//"); ok { // the form of older manuals: prefix//APPID/NAME/…
		appID, rest, _ := strings.Cut(old, "/")
		name, path, _ = strings.Cut(rest, "/")
		name += "-" + appID
	}
	res = cosResource{path: path, noOwner: !strings.HasPrefix(parts[4], "uid/")}
	start := strings.IndexAny(name, "*$")
	switch {
	case parts[2] != "cos" || name == "":
		res.all = true
	case start >= 0: // a * also matches a /
		res.all = true
		ok = len(buckets) == 0 || slices.ContainsFunc(buckets, func(b string) bool { return strings.HasPrefix(b+"/", name[:start]) })
		return res, ok
	default:
		res.name = name
	}
	return res, res.all || len(buckets) == 0 || slices.Contains(buckets, name)
}
