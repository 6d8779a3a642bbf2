package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A survey contains facts from all documents, which the checks of each document use.
type survey struct {
	buckets []string            // the bucket that the operator named, or the buckets with tenants' prefixes; empty: any bucket
	roles   []string            // the role of each document, as policy.Roles returns it
	tenants []string            // the tenants whose prefixes occur literally in any document
	reaches map[string][]string // role → the tenants that its own documents allow it to access
	granted map[string]bool     // the roles that a bucket policy names
	account map[string][]string // role → its accounts in the documents; "" → the accounts of any role
	about   []bool              // for each document: whether a statement applies to one of the buckets
}

func newSurvey(docs []Document, o CheckOptions) *survey {
	v := &survey{roles: policy.Roles(docs), reaches: make(map[string][]string), granted: make(map[string]bool), account: accountsOf(docs), about: make([]bool, len(docs))}
	if o.Bucket != "" {
		v.buckets = []string{o.Bucket}
	} else {
		var all []Statement
		for _, d := range docs {
			all = append(all, d.Policy.Statement...)
		}
		v.buckets = subject.OfTenants(all)
	}
	add := func(list []string, tenant string) []string {
		if slices.Contains(list, tenant) {
			return list
		}
		return append(list, tenant)
	}
	for i, d := range docs {
		if d.Tenant != "" {
			v.tenants = add(v.tenants, d.Tenant)
			v.reaches[v.roles[i]] = []string{d.Tenant}
		}
	}
	for i, d := range docs {
		v.about[i] = subject.SpeaksOf(d.Policy.Statement, v.buckets)
		for _, s := range d.Policy.Statement {
			for _, p := range slices.Concat(s.Principal["AWS"], s.NotPrincipal["AWS"]) {
				if d.Part == policy.BucketPolicy && s.Effect == "Allow" && v.concerns(s) {
					v.granted[policy.ShortName(p)] = true
				}
			}
			for _, p := range patternsOf(s, v.buckets) {
				r, tenant := reachOf(p, "", true)
				if r != oneTenant {
					continue
				}
				v.tenants = add(v.tenants, tenant)
				if d.Part == policy.RolePolicy && d.Tenant == "" && s.Effect == "Allow" {
					v.reaches[v.roles[i]] = add(v.reaches[v.roles[i]], tenant)
				}
			}
		}
	}
	return v
}

// subject reads the statements of AWS.
var subject = policy.Scope{
	Allow: "Allow",
	Resource: func(r string, buckets []string) (policy.Resource, bool) {
		res, ok := parseResource(r, buckets)
		return policy.Resource{Bucket: res.bucket, All: res.all, Whole: !res.object, Start: startOf(res.key, false)}, ok
	},
	Lists: func(s Statement) (start policy.Start) {
		for _, cond := range conditions(s) {
			if cond.Key != "s3:prefix" {
				continue
			}
			for _, v := range cond.Values {
				start = max(start, startOf(v, true))
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

// unrelated reports whether document n belongs to a role that cannot access any tenant: all of the
// role's policies are known, and neither they nor a bucket policy grant access to the buckets.
func (v *survey) unrelated(docs []Document, n int) bool {
	if !docs[n].Origin.Whole || v.granted[v.roles[n]] {
		return false
	}
	for i, d := range docs {
		if v.roles[i] != v.roles[n] || d.Part != policy.RolePolicy {
			continue
		}
		for _, s := range d.Policy.Statement {
			if s.Effect == "Allow" && v.affectsTenants(s) {
				return false
			}
		}
	}
	return true
}

// strangers returns the indexes of documents that apply only to other buckets than the requested
// bucket.
func (v *survey) strangers(docs []Document, bucket string) map[int]bool {
	if bucket == "" {
		return nil
	}
	return policy.OtherBuckets(subject, docs, v.roles, v.about)
}

// An operators list contains the ARNs of principals that may access every tenant.
type operators []string

func (o operators) contains(kind, principal string) bool {
	if kind != "AWS" {
		return false
	}
	account := func(p string) string { // an account may be written as a number or as an ARN
		if parts := strings.Split(p, ":"); len(parts) == 6 && parts[2] == "iam" && parts[5] == "root" {
			return parts[4]
		}
		return p
	}
	role := func(p string) string { // the ARN of a session contains its role without the path
		parts := strings.SplitN(p, ":", 6)
		if len(parts) < 6 || parts[2] != "sts" || !strings.HasPrefix(parts[5], "assumed-role/") {
			return ""
		}
		return parts[4] + " " + policy.ShortName(p)
	}
	return slices.ContainsFunc(o, func(arn string) bool {
		parts := strings.SplitN(arn, ":", 6)
		return arn == principal || account(arn) == account(principal) ||
			len(parts) == 6 && role(principal) != "" && role(principal) == parts[4]+" "+policy.ShortName(arn)
	})
}

// owns reports whether an operator is the owner of a document.
func (o operators) owns(d Document) bool {
	owner := d.Origin.Owner
	return owner != "" && slices.ContainsFunc(o, func(arn string) bool {
		return arn == owner || !strings.Contains(owner, ":") && policy.ShortName(arn) == owner
	})
}

// without returns an allow without the principals that are operators; ok is false if no
// principal is left.
func (o operators) without(s Statement) (rest Statement, ok bool) {
	if len(o) == 0 || s.Principal == nil {
		return s, true
	}
	// A condition may limit the principal "*" to operators.
	for _, cond := range conditions(s) {
		if cond.Key == "aws:principalarn" && requires(cond) && slices.Contains([]string{"ArnEquals", "ArnLike", "StringEquals", "StringLike"}, cond.Base) &&
			!slices.ContainsFunc(cond.Values, func(v string) bool { return !o.contains("AWS", v) }) {
			return s, false
		}
	}
	left := make(policy.Principal)
	for kind, list := range s.Principal {
		for _, p := range list {
			if !o.contains(kind, p) {
				left[kind] = append(left[kind], p)
			}
		}
	}
	s.Principal = left
	return s, len(left) > 0
}

// IsPrincipal reports whether arn is the ARN of one role, user or account, which is the form of
// CheckOptions.Operators.
func IsPrincipal(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && parts[0] == "arn" && (parts[2] == "iam" || parts[2] == "sts") && parts[5] != "" && !strings.ContainsAny(arn, "*?$ ")
}

// Reaches reports whether a statement applies to the bucket as a whole, or to objects of tenants in
// it.
func Reaches(s Statement, bucket string) bool {
	return (&survey{buckets: []string{bucket}}).reachesTenants(s)
}
