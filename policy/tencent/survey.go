package tencent

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A survey is what all documents together show, before any of them is judged.
type survey struct {
	buckets []string            // that hold tenants' prefixes, or that the operator named; empty: any bucket may
	roles   []string            // of each document, as policy.Roles returns them
	reaches map[string][]string // role → the tenants that its own documents are about
	about   []bool              // by document: whether a statement is about one of the buckets
}

func newSurvey(docs []Document, o CheckOptions) *survey {
	v := &survey{roles: policy.Roles(docs), reaches: make(map[string][]string), about: make([]bool, len(docs))}
	if o.Bucket != "" {
		v.buckets = []string{o.Bucket}
	} else {
		v.buckets = bucketsOf(docs)
	}
	for i, d := range docs {
		if d.Tenant != "" {
			v.reaches[v.roles[i]] = []string{d.Tenant}
		}
	}
	for i, d := range docs {
		v.about[i] = v.speaksOf(d)
		for _, s := range d.Policy.Statement {
			if d.Part != policy.RolePolicy || d.Tenant != "" || s.Effect != "allow" {
				continue
			}
			for _, r := range s.Resource {
				res, ok := parseResource(r, v.buckets)
				if reach, tenant := reachOf(res.path, true, false); ok && !res.all && reach == oneTenant && !slices.Contains(v.reaches[v.roles[i]], tenant) {
					v.reaches[v.roles[i]] = append(v.reaches[v.roles[i]], tenant)
				}
			}
		}
	}
	return v
}

// concerns reports whether a statement of a role or bucket policy is about one of the buckets.
func (v *survey) concerns(s Statement) bool {
	return s.NotResource != nil || slices.ContainsFunc(s.Resource, func(r string) bool {
		_, ok := parseResource(r, v.buckets)
		return ok
	})
}

// speaksOf reports whether a document is about one of the buckets. A denial of everything beside
// other buckets is not about this one.
func (v *survey) speaksOf(d Document) bool {
	elsewhere := len(otherBuckets(d)) > 0
	return slices.ContainsFunc(d.Policy.Statement, func(s Statement) bool {
		named := slices.ContainsFunc(slices.Concat(s.Resource, s.NotResource), func(r string) bool {
			res, ok := parseResource(r, v.buckets)
			return ok && !res.all
		})
		return named || v.concerns(s) && (s.Effect == "allow" || !elsewhere)
	})
}

// bucketsOf returns the buckets in which any statement names a prefix of tenants.
func bucketsOf(docs []Document) []string {
	var all []string
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			lists := slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return cond.Key == "cos:prefix" && slices.ContainsFunc(cond.Values, func(v string) bool {
					prefix, _ := decoded(v, wild(cond))
					return strings.HasPrefix(prefix, root)
				})
			})
			for _, r := range slices.Concat(s.Resource, s.NotResource) {
				res, ok := parseResource(r, nil)
				if ok && res.name != "" && (strings.HasPrefix(res.path, root) || lists && res.bucket()) && !slices.Contains(all, res.name) {
					all = append(all, res.name)
				}
			}
		}
	}
	return all
}

// tenantOf returns the one tenant that the role of a document serves, or else the role.
func (v *survey) tenantOf(role string) string {
	if tenants := v.reaches[role]; len(tenants) == 1 {
		return tenants[0]
	}
	return role
}

// strangers returns the indexes of documents that are about other buckets than the one that
// was asked for. A policy beside one that is about it may be about anything.
func (v *survey) strangers(docs []Document, bucket string) map[int]bool {
	all := make(map[int]bool)
	if bucket == "" {
		return all
	}
	any := slices.Contains(v.about, true)
	for i, d := range docs {
		if d.Part == policy.TrustPolicy || v.about[i] {
			continue
		}
		others := otherBuckets(d)
		for k, other := range docs {
			if k != i && d.Part == policy.RolePolicy && other.Part == d.Part && v.roles[k] == v.roles[i] && v.about[k] {
				others = nil
			}
		}
		all[i] = !any || len(others) > 0
	}
	return all
}

// otherBuckets returns the buckets that a document names, sorted.
func otherBuckets(d Document) []string {
	var all []string
	for _, s := range d.Policy.Statement {
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			if res, ok := parseResource(r, nil); ok && res.name != "" {
				all = append(all, res.name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// An operators list contains principals that may reach every tenant.
type operators []string

func (o operators) contains(principal string) bool {
	account := func(p string) string { // the owner of an account is written in two ways
		if uin, ok := strings.CutPrefix(p, "qcs::cam::uin/"); ok {
			if owner, user, _ := strings.Cut(uin, ":"); user == "root" || user == "uin/"+owner {
				return owner
			}
		}
		return p
	}
	return slices.ContainsFunc(o, func(name string) bool { return account(name) == account(principal) })
}

// without returns a statement that allows something without the principals that are operators;
// ok is false if nobody is left.
func (o operators) without(s Statement) (rest Statement, ok bool) {
	if len(o) == 0 || s.Principal == nil {
		return s, true
	}
	left := make(policy.Principal)
	for kind, list := range s.Principal {
		for _, p := range list {
			if kind != "qcs" || !o.contains(p) {
				left[kind] = append(left[kind], p)
			}
		}
	}
	s.Principal = left
	return s, len(left) > 0
}

// IsPrincipal reports whether name is that of one user, role or account, as
// CheckOptions.Operators has them.
func IsPrincipal(name string) bool {
	rest, ok := strings.CutPrefix(name, "qcs::cam::uin/")
	_, who, named := strings.Cut(rest, ":")
	return ok && named && who != "" && !strings.ContainsAny(rest, "*$ ")
}

// Reaches reports whether a statement is about the bucket as a whole, or about objects of
// tenants in it.
func Reaches(s Statement, bucket string) bool {
	return s.NotResource != nil || slices.ContainsFunc(s.Resource, func(r string) bool {
		res, ok := parseResource(r, []string{bucket})
		reach, _ := reachOf(res.path, true, false)
		return ok && (res.bucket() || reach != noTenant)
	})
}
