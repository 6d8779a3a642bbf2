package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// needed lists the actions that a tenant needs on a bucket. The last three only read its
// settings.
var needed = []string{
	"s3:getobject", "s3:getobjectversion", "s3:putobject", "s3:deleteobject", "s3:abortmultipartupload",
	"s3:listbucket", "s3:listbucketversions",
	"s3:getbucketversioning", "s3:getlifecycleconfiguration", "s3:getbucketpolicy",
}

// access checks an allow of a role or bucket policy.
func (c *checker) access(s Statement) {
	c.excess(s)
	if c.unrelated[c.Nth] || !c.concerns(s) {
		return
	}
	if isPublic(s) {
		c.Report(PublicAllow, "")
	}
	lists, objects := kinds(s)
	if s.NotAction != nil {
		lists, objects = true, true
	}
	if s.NotResource != nil {
		if lists || objects {
			c.Report(BroadAllow, "everything that NotResource does not list")
		}
		return
	}
	tenantPrefix := false
	if objects {
		tenantPrefix = c.objects(s)
	}
	if lists {
		tenantPrefix = c.lists(s) || tenantPrefix
	}
	if !tenantPrefix || c.o.Isolation != ByTag {
		return
	}
	if !c.tagGuarded(s, principalTag) {
		c.Report(NoTagGuard, "")
	}
	c.principals(s)
}

// principals reports the principals of a statement that are not roles. Their tags do not come from
// the issuer of the tokens.
func (c *checker) principals(s Statement) {
	for kind, list := range s.Principal {
		for _, p := range list {
			parts := strings.SplitN(p, ":", 6)
			role := kind == "AWS" && len(parts) == 6 && parts[2] == "iam" && strings.HasPrefix(parts[5], "role/") && !strings.ContainsAny(p, "*?")
			if !isPublic(Statement{Principal: policy.Principal{kind: {p}}}) && (!role || c.foreign(p)) {
				c.Report(OtherPrincipal, "%s %s", kind, p)
			}
		}
	}
}

// kinds reports whether a statement allows lists, and whether it allows anything with
// objects.
func kinds(s Statement) (lists, objects bool) {
	for _, a := range s.Action {
		service, name, ok := strings.Cut(strings.ToLower(a), ":")
		if !ok {
			service, name = a, "*" // "*"
		}
		if !glob(service, "s3") {
			continue
		}
		lists = lists || glob(name, "listbucket") || glob(name, "listbucketversions")
		objects = objects || !ofBucket(name)
	}
	return lists, objects
}

// ofBucket reports whether an action of S3, or each one that a pattern matches, is about a bucket
// or an account as a whole.
func ofBucket(name string) bool {
	start := name
	if i := strings.IndexAny(name, "*?"); i >= 0 {
		start = name[:i]
	}
	return strings.Contains(start, "bucket") || strings.Contains(start, "accesspoint") || strings.HasSuffix(name, "configuration") || strings.HasSuffix(name, "publicaccessblock")
}

// objects checks the resources of a statement about objects; tenantPrefix reports whether one
// of them is a tenant's prefix.
func (c *checker) objects(s Statement) (tenantPrefix bool) {
	for _, r := range s.Resource {
		res, ok := parseResource(r, c.buckets)
		switch {
		case !ok || !res.all && !res.object:
			continue
		case res.all:
			c.Report(BroadAllow, "%s", r)
			continue
		}
		switch reach, tenant := reachOf(tokens(res.key, true), c.o.Tag, false); reach {
		case ownTag:
			tenantPrefix = true
		case oneTenant:
			tenantPrefix = c.bound(s, tenant, r) || tenantPrefix
		case openEnded:
			c.Report(OpenPrefix, "%s", r)
		case variable:
			c.Report(OtherVariable, "%s", r)
		case allTenants:
			c.Report(BroadAllow, "%s", r)
		}
	}
	return tenantPrefix
}

// lists checks a statement that lists; tenantPrefix reports whether it is limited to a tenant's
// prefix.
func (c *checker) lists(s Statement) (tenantPrefix bool) {
	listsBucket := false
	for _, r := range s.Resource {
		res, ok := parseResource(r, c.buckets)
		if !ok || !res.all && res.object {
			continue
		}
		listsBucket = true
		if res.all {
			c.Report(BroadAllow, "%s", r)
		}
	}
	if s.Resource != nil && !listsBucket {
		return false
	}
	// ForAnyValue makes no difference, because the key has one value.
	required := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key != "s3:prefix" || !requires(cond) || !strings.HasPrefix(cond.Base, "String")
	})
	if len(required) == 0 {
		c.Report(ListWithoutPrefix, "it lists every name of every tenant")
	}
	c.Narrow(required, func(cond policy.Condition, v string) (id, details string) {
		if ignoresCase(cond) { // tenants and bots/ are in lower case
			v = strings.ToLower(v)
		}
		switch reach, tenant := reachOf(tokens(v, wild(cond)), c.o.Tag, true); reach {
		case ownTag:
			tenantPrefix = true
		case oneTenant:
			tenantPrefix = c.bound(s, tenant, v) || tenantPrefix
		case openEnded:
			return OpenPrefix, "s3:prefix " + v
		case variable:
			return OtherVariable, "s3:prefix " + v
		case allTenants:
			return ListPrefixWide, "s3:prefix " + policy.Quote(v)
		}
		return "", ""
	})
	return tenantPrefix
}

// bound checks a literal prefix: only the principals of its tenant may access it.
func (c *checker) bound(s Statement, tenant, where string) bool {
	if c.o.Isolation == ByTag {
		for _, cond := range conditions(s) {
			if strings.HasPrefix(cond.Key, principalTag) && c.isTagKey(cond.Key) && exact(cond) &&
				!slices.ContainsFunc(cond.Values, func(v string) bool { return v != tenant }) {
				return true
			}
		}
		c.Report(UnboundPrefix, "%s", where)
		return false
	}
	switch {
	case c.Doc.Part == policy.BucketPolicy:
		for kind, list := range s.Principal {
			for _, p := range list {
				c.grant(kind, p, tenant)
			}
		}
	case c.Doc.Tenant != "":
		if c.Doc.Tenant != tenant {
			c.Report(UnboundPrefix, "%s can access %s", c.Doc.Tenant, tenant)
		}
	default:
		role := c.roles[c.Nth]
		if other := policy.TenantNamed(role, c.tenants); other != "" && !policy.NamesTenant(role, tenant) {
			c.Report(UnboundPrefix, "%s, which is the role of %s, can access %s", role, other, tenant)
		} else {
			c.onlyTenant(role, tenant)
		}
	}
	return true
}

// onlyTenant checks that a role or principal can access only one tenant.
func (c *checker) onlyTenant(principal, tenant string) {
	switch other, ok := c.Reached[principal]; {
	case !ok:
		c.Reached[principal] = tenant
	case other != tenant:
		c.Report(UnboundPrefix, "%s can access %s and %s", principal, other, tenant)
	}
}

// grant checks a principal that a bucket policy grants the prefix of a tenant. It must be the
// role of that tenant, according to its own documents or its name.
func (c *checker) grant(kind, principal, tenant string) {
	role := policy.ShortName(principal)
	known := kind == "AWS" && (strings.HasPrefix(role, "role/") || strings.HasPrefix(role, "user/"))
	switch problem := policy.OwnerProblem(role, tenant, c.reaches[role], c.tenants); {
	case isPublic(Statement{Principal: policy.Principal{kind: {principal}}}): // reported as PublicAllow
	case !known || strings.ContainsAny(principal, "*?"):
		c.Report(UnboundPrefix, "%s %s is not a role that belongs only to %s", kind, principal, tenant)
	case c.foreign(principal):
		c.Report(UnboundPrefix, "%s belongs to another account than the role of %s", principal, tenant)
	case problem != "":
		c.Report(UnboundPrefix, "%s", problem)
	default:
		c.onlyTenant(role, tenant)
	}
}
