package tencent

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A survey contains facts from all documents, which the checks of each document use.
type survey struct {
	buckets []string            // the bucket that the operator named, or the buckets with tenants' prefixes; empty: any bucket
	roles   []string            // the role of each document, as policy.Roles returns it
	reaches map[string][]string // role → the tenants that its own documents allow it to access
	tenants []string            // the tenants whose prefixes occur literally in any document
	owners  []string            // the uins of the accounts that own roles
	named   bool                // the documents of roles contain their owners
	about   []bool              // for each document: whether a statement applies to one of the buckets
}

func newSurvey(docs []Document, o CheckOptions) *survey {
	v := &survey{roles: policy.Roles(docs), reaches: make(map[string][]string), about: make([]bool, len(docs))}
	if o.Bucket != "" {
		v.buckets = []string{o.Bucket}
	} else {
		var all []Statement
		for _, d := range docs {
			all = append(all, d.Policy.Statement...)
		}
		v.buckets = subject.OfTenants(all)
	}
	for i, d := range docs {
		v.named = v.named || d.Tenant != "" || d.Origin.Owner != ""
		v.owners = append(v.owners, ownersOf(d)...)
		if d.Tenant != "" {
			v.tenants = append(v.tenants, d.Tenant)
			v.reaches[v.roles[i]] = []string{d.Tenant}
		}
	}
	for i, d := range docs {
		v.about[i] = subject.SpeaksOf(d.Policy.Statement, v.buckets)
		v.tenants = append(v.tenants, tenantsOf(d, v.buckets)...)
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

// subject reads the statements of CAM.
var subject = policy.Scope{
	Allow: "allow",
	Resource: func(r string, buckets []string) (policy.Resource, bool) {
		res, ok := parseResource(r, buckets)
		return policy.Resource{Bucket: res.name, All: res.all, Whole: res.bucket(), Start: startOf(res.path, false)}, ok
	},
	Lists: func(s Statement) (start policy.Start) {
		for _, cond := range conditions(s) {
			if cond.Key != "cos:prefix" {
				continue
			}
			for _, v := range cond.Values {
				prefix, _ := decoded(v, wild(cond))
				start = max(start, startOf(prefix, true))
			}
		}
		return start
	},
}

// concerns reports whether a statement of a role or bucket policy applies to one of the buckets.
func (v *survey) concerns(s Statement) bool { return subject.Concerns(s, v.buckets) }

// tenantOf returns the tenant of a role, or the role if it has no tenant or several.
func (v *survey) tenantOf(role string) string {
	if tenants := v.reaches[role]; len(tenants) == 1 {
		return tenants[0]
	}
	return role
}

// strangers returns the indexes of documents that apply only to other buckets than the requested
// bucket.
func (v *survey) strangers(docs []Document, bucket string) map[int]bool {
	if bucket == "" {
		return nil
	}
	return policy.OtherBuckets(subject, docs, v.roles, v.about)
}

// An operators list contains principals that may access every tenant.
type operators []string

func (o operators) contains(principal string) bool {
	account := func(p string) string { // there are two forms for the owner of an account
		if uin, ok := strings.CutPrefix(p, "qcs::cam::uin/"); ok {
			if owner, user, _ := strings.Cut(uin, ":"); user == "root" || user == "uin/"+owner {
				return owner
			}
		}
		return p
	}
	return slices.ContainsFunc(o, func(name string) bool { return account(name) == account(principal) })
}

// owns reports whether an operator is the role of a document.
func (o operators) owns(d Document) bool {
	owner := d.Origin.Owner
	return owner != "" && slices.ContainsFunc(o, func(name string) bool {
		return name == owner || ownerOf(owner) == "" && policy.ShortName(name) == owner
	})
}

// without returns an allow without the principals that are operators; ok is false if no
// principal is left.
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

// IsPrincipal reports whether name is the name of one user, role or account, which is the form of
// CheckOptions.Operators.
func IsPrincipal(name string) bool {
	rest, ok := strings.CutPrefix(name, "qcs::cam::uin/")
	_, principal, named := strings.Cut(rest, ":")
	return ok && named && principal != "" && !strings.ContainsAny(rest, "*$ ")
}

// Reaches reports whether a statement applies to the bucket as a whole, or to objects of tenants in
// it.
func Reaches(s Statement, bucket string) bool {
	return s.NotResource != nil || slices.ContainsFunc(s.Resource, func(r string) bool {
		res, ok := parseResource(r, []string{bucket})
		reach, _ := reachOf(res.path, true, false)
		return ok && (res.bucket() || reach != noTenant)
	})
}
