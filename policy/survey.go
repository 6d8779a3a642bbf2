package policy

import "slices"

// A Subject determines what the statements of a language are about. Its functions take the
// buckets in question; none means any.
type Subject struct {
	Allow string // the effect of a statement that allows
	// Resource reads a resource; ok is false for other services, and for other buckets.
	Resource func(resource string, buckets []string) (r Resource, ok bool)
	// Lists reports whether a condition of a statement restricts listings to a prefix of tenants.
	Lists func(s Statement) bool
}

// A Resource describes which buckets and objects a resource of a statement covers.
type Resource struct {
	Bucket  string // its name; empty if it may be any
	All     bool   // it may be any bucket
	Whole   bool   // it is the bucket itself, or covers it
	Tenants bool   // it begins with the prefix of tenants
}

// Concerns reports whether a statement of a role or bucket policy is about one of the buckets.
func (j Subject) Concerns(s Statement, buckets []string) bool {
	return s.NotResource != nil || slices.ContainsFunc(s.Resource, func(r string) bool {
		_, ok := j.Resource(r, buckets)
		return ok
	})
}

// SpeaksOf reports whether a document is about one of the buckets. A denial for everything but
// other buckets is not.
func (j Subject) SpeaksOf(statements []Statement, buckets []string) bool {
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
func (j Subject) Named(statements []Statement) []string {
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

// OfTenants returns all, with the buckets added in which a statement names a prefix of tenants.
func (j Subject) OfTenants(all []string, statements []Statement) []string {
	for _, s := range statements {
		lists := j.Lists(s)
		for _, r := range slices.Concat(s.Resource, s.NotResource) {
			res, ok := j.Resource(r, nil)
			if ok && res.Bucket != "" && (res.Tenants || lists && res.Whole) && !slices.Contains(all, res.Bucket) {
				all = append(all, res.Bucket)
			}
		}
	}
	return all
}

// Strangers returns the indexes of documents that are about other buckets than the requested
// one. A document of a role that also has a document about the bucket is not among them. By
// document, roles contains its role, and about reports whether it is about the bucket.
func Strangers[L Language](j Subject, docs []Document[L], roles []string, about []bool) map[int]bool {
	all := make(map[int]bool)
	any := slices.Contains(about, true)
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
		all[i] = !any || len(others) > 0 && !d.Origin.Whole
	}
	return all
}
