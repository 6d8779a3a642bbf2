package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A token is a piece of a pattern.
type token struct {
	kind byte // 'l' literal, '*' or '?' wildcard, '$' variable
	text string
}

// tokens splits a pattern into tokens. If wild is false, * and ? are literal.
func tokens(pattern string, wild bool) []token {
	var list []token
	add := func(kind byte, text string) {
		if n := len(list); kind == 'l' && n > 0 && list[n-1].kind == 'l' {
			list[n-1].text += text
			return
		}
		list = append(list, token{kind, text})
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '$' && strings.HasPrefix(pattern[i:], "${"):
			name, _, ok := strings.Cut(pattern[i+2:], "}")
			switch {
			case !ok:
				add('l', pattern[i:])
				return list
			case name == "*" || name == "?" || name == "$":
				add('l', name)
			default:
				add('$', name)
			}
			i += len(name) + 2
		case wild && (c == '*' || c == '?'):
			add(c, "")
		default:
			add('l', string(c))
		}
	}
	return list
}

func literalText(list []token) (string, bool) {
	switch {
	case len(list) == 0:
		return "", true
	case len(list) == 1 && list[0].kind == 'l':
		return list[0].text, true
	}
	return "", false
}

// A reach is the set of tenants whose objects a pattern covers.
type reach int

const (
	noTenant  reach = iota // nothing under bots/
	ownTag                 // bots/${aws:PrincipalTag/TAG}/
	oneTenant              // bots/<tenant>/
	openEnded              // the tenant, and tenants whose names start with its name
	variable               // the value of another variable
	allTenants
)

const root = "bots/"

// reachOf returns the tenants whose objects the pattern matches. prefix means that the pattern is
// the prefix of a list request, so "" and "bots/" match all tenants. If tag is empty, any
// aws:PrincipalTag is the tenant's tag.
func reachOf(list []token, tag string, prefix bool) (r reach, tenant string) {
	lit := ""
	if len(list) > 0 && list[0].kind == 'l' {
		lit = list[0].text
	}
	rest, under := strings.CutPrefix(lit, root)
	switch {
	case !under && !strings.HasPrefix(root, lit):
		return noTenant, ""
	case !under && (len(list) > 1 || len(list) == 1 && lit == ""): // the rest of the pattern may complete it
		next := list[0]
		if lit != "" {
			next = list[1]
		}
		if next.kind == '$' {
			return variable, ""
		}
		return allTenants, ""
	case !under:
		if prefix {
			return allTenants, ""
		}
		return noTenant, ""
	}
	if t, _, ok := strings.Cut(rest, "/"); ok {
		return oneTenant, t
	}
	if len(list) == 1 {
		switch {
		case !prefix:
			return noTenant, "" // the object bots/x, which belongs to no tenant
		case rest == "":
			return allTenants, ""
		}
		return openEnded, rest
	}
	switch next := list[1]; {
	case next.kind == '$' && rest == "" && isTag(next.text, tag):
		if len(list) > 2 && list[2].kind == 'l' && strings.HasPrefix(list[2].text, "/") {
			return ownTag, ""
		}
		if len(list) == 2 && !prefix {
			return noTenant, ""
		}
		return openEnded, ""
	case next.kind == '$':
		return variable, ""
	case rest == "":
		return allTenants, ""
	}
	return openEnded, rest
}

// startOf describes how the keys start that a pattern matches. A pattern that starts with * or a variable is
// usual in buckets without tenants. prefix means that the pattern is the prefix of a list request.
func startOf(pattern string, prefix bool) policy.Start {
	list := tokens(pattern, true)
	switch {
	case len(list) == 0 || list[0].kind == '*' || list[0].kind == '$':
		return policy.Elsewhere
	case list[0].kind == 'l' && strings.HasPrefix(list[0].text, root):
		return policy.InRoot
	}
	if reach, _ := reachOf(list, "", prefix); reach != noTenant {
		return policy.MaybeInRoot
	}
	return policy.Elsewhere
}

const principalTag = "aws:principaltag/"

func isTag(variable, tag string) bool {
	name, ok := strings.CutPrefix(strings.ToLower(variable), principalTag)
	return ok && name != "" && !strings.ContainsAny(name, ",'") && (tag == "" || name == strings.ToLower(tag))
}

// glob reports whether s matches a pattern with * and ?, without regard to case.
func glob(pattern, s string) bool {
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	star, mark, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// An s3Resource is a resource of a statement, as far as S3 is concerned.
type s3Resource struct {
	all    bool   // the resource may be in any bucket
	bucket string // the name of the bucket
	key    string // a pattern; empty means the bucket itself
	object bool   // the resource has a key
}

// parseResource parses r as a resource of S3; ok is false for other services, and for buckets
// that are not in the list. An empty list means any bucket.
func parseResource(r string, buckets []string) (res s3Resource, ok bool) {
	parts := strings.SplitN(r, ":", 6)
	if len(parts) < 6 {
		return s3Resource{all: true}, strings.ContainsAny(r, "*?$")
	}
	if !glob(parts[2], "s3") {
		return s3Resource{}, false
	}
	name, key, object := strings.Cut(parts[5], "/")
	switch {
	case parts[3] != "" || parts[4] != "":
		// This is an access point, because it has a region and an account. Its own policy, which is
		// not known here, decides who can use it.
		return s3Resource{all: true}, true
	case strings.ContainsAny(name, "*?$"):
		return s3Resource{all: true}, len(buckets) == 0 || slices.ContainsFunc(buckets, func(b string) bool { return mayName(name, b) })
	}
	return s3Resource{bucket: name, key: key, object: object}, len(buckets) == 0 || slices.Contains(buckets, name)
}

// mayName reports whether a pattern, up to its first /, can match the bucket or an object in it,
// because a * also matches a /.
func mayName(pattern, bucket string) bool {
	if start := strings.IndexAny(pattern, "*$"); start >= 0 {
		pattern = pattern[:start]
		if len(pattern) > len(bucket)+1 {
			return false
		}
		bucket = (bucket + "/")[:len(pattern)]
	}
	return glob(pattern, bucket) // only ? is left as a wildcard
}
