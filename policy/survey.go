package policy

import "slices"

// A Scope determines which buckets the statements of a language apply to. An empty list of
// buckets means any bucket.
type Scope struct {
	Allow string // the effect of a statement that allows requests
	// Resource reads a resource; ok is false for other services, and for other buckets.
	Resource func(resource string, buckets []string) (r Resource, ok bool)
	// Lists returns the start of the prefixes to which the conditions of a statement restrict listings.
	Lists func(s Statement) Start
}

// A Start describes how the keys start that a pattern matches.
type Start int

const (
	Elsewhere   Start = iota // not with the prefix of the tenants, or with a wildcard
	MaybeInRoot              // such as b*: some may start with the prefix of the tenants
	InRoot                   // with the prefix of the tenants
)

// A Resource describes which buckets and objects a resource of a statement covers.
type Resource struct {
	Bucket string // the name of the bucket; empty if the resource may be in any bucket
	All    bool   // the resource may be in any bucket
	Whole  bool   // the resource includes the bucket itself
	Start  Start  // of its keys
}

// Concerns reports whether a statement of a role or bucket policy applies to one of the buckets.
func (j Scope) Concerns(s Statement, buckets []string) bool {
	return s.NotResource != nil || slices.ContainsFunc(s.Resource, func(r string) bool {
		_, ok := j.Resource(r, buckets)
		return ok
	})
}

// SpeaksOf reports whether a document applies to one of the buckets. A statement that denies access
// counts only if it names one of the buckets, or if the document names no bucket.
func (j Scope) SpeaksOf(statements []Statement, buckets []string) bool {
	elsewhere := len(j.Named(statements)) > 0
	return slices.ContainsFunc(statements, func(s Statement) bool {
		named := slices.ContainsFunc(slices.Concat(s.Resource, s.NotResource), func(r string) bool {
			res, ok := j.Resource(r, buckets)
			return ok && !res.All
		})
		return named || j.Concerns(s, buckets) && (s.Effect == j.Allow || !elsewhere)
	})
}

// Named returns the buckets that statements name, sorted.
func (j Scope) Named(statements []Statement) []string {
	var all []string
	for _, s := range statements {
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			if res, ok := j.Resource(r, nil); ok && res.Bucket != "" {
				all = append(all, res.Bucket)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// OfTenants returns the buckets in which a statement allows access to a prefix of tenants, sorted. If no
// statement certainly does, it returns nil, and every bucket must be checked. A statement that denies access
// must not decide which buckets are checked: it would hide what other statements allow.
func (j Scope) OfTenants(statements []Statement) []string {
	var all []string
	certain := false
	for _, s := range statements {
		if s.Effect != j.Allow {
			continue
		}
		lists := j.Lists(s)
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			res, ok := j.Resource(r, nil)
			start := res.Start
			if res.Whole {
				start = max(start, lists)
			}
			if ok && res.Bucket != "" && start > Elsewhere {
				all = append(all, res.Bucket)
				certain = certain || start == InRoot
			}
		}
	}
	if !certain {
		return nil
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// OtherBuckets returns the indexes of the documents that are not checked, because no document of
// their role applies to the bucket that is checked. For each document, roles contains its role, and
// about contains whether it applies to that bucket.
func OtherBuckets[L Language](j Scope, docs []Document[L], roles []string, about []bool) map[int]bool {
	all := make(map[int]bool)
	found := slices.Contains(about, true)
	for i, d := range docs {
		if d.Part == TrustPolicy || about[i] || d.Origin.Unseen {
			continue
		}
		others := j.Named(d.Policy.Statement)
		for k, other := range docs {
			if k != i && d.Part == RolePolicy && other.Part == d.Part && roles[k] == roles[i] && about[k] {
				others = nil
			}
		}
		all[i] = !found || len(others) > 0 && !d.Origin.Whole
	}
	return all
}
