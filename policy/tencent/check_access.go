package tencent

import (
	"maps"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// Actions that some tenant needs, by what they are about. The preset policies name
// UploadPartCopy and DeleteMultipleObjects too.
var (
	aboutObjects = []string{
		"cos:GetObject", "cos:HeadObject", "cos:PutObject", "cos:DeleteObject", "cos:InitiateMultipartUpload", "cos:UploadPart", "cos:UploadPartCopy",
		"cos:CompleteMultipartUpload", "cos:AbortMultipartUpload", "cos:ListParts", "cos:DeleteMultipleObjects",
	}
	aboutLists  = []string{"cos:GetBucket", "cos:GetBucketObjectVersions", "cos:ListMultipartUploads"}
	aboutBucket = []string{"cos:HeadBucket", "cos:GetBucketVersioning", "cos:GetBucketACL", "cos:GetBucketPolicy", "cos:GetBucketLifecycle"}
)

// access checks an allow of a role or bucket policy.
func (c *checker) access(s Statement) {
	lists, objects := c.actions(s)
	if !c.concerns(s) {
		return
	}
	if isPublic(s.Principal) {
		c.Report(PublicAllow, "")
	}
	for _, p := range s.Principal["qcs"] {
		if strings.HasPrefix(p, "qcs::cam::uin/*") {
			c.Report(PublicAllow, "%s", p)
		}
		if strings.Contains(p, ":roleName/") || strings.Contains(p, ":role/") {
			c.Report(RolePrincipal, "%s", p)
		}
	}
	if s.NotResource != nil {
		if lists || objects {
			c.Report(BroadAllow, "whatever is not named")
		}
		return
	}
	for _, r := range s.Resource {
		if res, ok := parseResource(r, c.buckets); ok && !res.all && res.noOwner {
			c.Report(WrongOwner, "%s", r)
		}
	}
	if objects {
		c.objects(s)
		c.headers(s)
	}
	if lists {
		c.lists(s)
	}
	c.http(s)
}

var (
	// takers are services whose actions hand out rights or keys, or move objects.
	takers = []string{"cos", "ci", "cam", "sts", "kms", "organization", "account", "msp", "csg"}
	// doers are actions that run something with the rights of another role, or that publish what
	// is in a bucket.
	doers = strings.Fields(`scf:CreateFunction scf:UpdateFunctionCode scf:UpdateFunctionConfiguration scf:CreateTrigger
		tat:RunCommand tat:CreateCommand tat:ModifyCommand tat:InvokeCommand tat:CreateInvoker cvm:RunInstances cvm:ModifyInstancesAttribute
		as:CreateLaunchConfiguration as:CreateAutoScalingGroup batch:SubmitJob batch:CreateComputeEnv tione:CreateTrainingTask tione:CreateNotebook
		tic:CreateStack tic:ApplyStack tic:UpdateStack tke:CreateCluster emr:CreateInstance dlc:CreateSparkApp dlc:CreateTask
		cdn:AddCdnDomain cdn:UpdateDomainConfig cdn:ModifyDomainConfig ecdn:AddEcdnDomain ecdn:UpdateDomainConfig
		teo:CreateAccelerationDomain teo:ModifyAccelerationDomain teo:CreateOriginGroup teo:ModifyOriginGroup`)
)

// matters reports whether an action may reach the buckets or take rights. Others of a role, such
// as cls:pushLog, do not concern tenants.
func (c *checker) matters(name string, s Statement) bool {
	service, action, ok := strings.Cut(name, ":")
	if !ok {
		return true // "*"
	}
	reads := strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List") || strings.HasPrefix(action, "Describe")
	return slices.ContainsFunc(doers, func(known string) bool { return glob(name, known) }) || slices.ContainsFunc(takers, func(known string) bool {
		switch known {
		case "cos", "ci":
			return glob(service, known) && c.concerns(s)
		case "sts": // GetFederationToken hands out a key
			return glob(service, known) && action != "GetCallerIdentity"
		}
		return glob(service, known) && !reads
	})
}

// actions names what is allowed and not needed, and reports whether lists and whether
// objects are allowed.
func (c *checker) actions(s Statement) (lists, objects bool) {
	for _, a := range s.Action {
		name := strings.TrimPrefix(a, "name/")
		matches := func(known string) bool { return glob(name, known) }
		lists = lists || slices.ContainsFunc(aboutLists, matches)
		objects = objects || slices.ContainsFunc(aboutObjects, matches)
		switch {
		case !c.matters(name, s):
		case strings.Contains(a, "*"):
			c.Report(BroadAction, "%s", a)
		case !slices.ContainsFunc(slices.Concat(aboutObjects, aboutLists, aboutBucket), matches):
			c.Report(ExcessAction, "%s", a)
			// An unknown action is treated as one on objects.
			objects = objects || strings.HasPrefix(name, "cos:") && !strings.Contains(name, "Bucket")
		}
	}
	if s.NotAction != nil {
		if slices.ContainsFunc(s.Resource, func(r string) bool {
			parts := strings.SplitN(r, ":", 6)
			return len(parts) == 6 && parts[2] != "cos" && slices.ContainsFunc(takers, func(known string) bool { return glob(parts[2], known) })
		}) {
			c.Report(NotElement, "")
		}
		return true, true
	}
	return lists, objects
}

// objects checks the resources of a statement about objects.
func (c *checker) objects(s Statement) {
	for _, r := range s.Resource {
		res, ok := parseResource(r, c.buckets)
		switch {
		case !ok:
			continue
		case strings.Contains(r, "${"):
			c.Report(OtherVariable, "%s", r)
			continue
		case res.all:
			c.Report(BroadAllow, "%s", r)
			continue
		}
		switch reach, tenant := reachOf(res.path, true, false); reach {
		case oneTenant:
			c.bound(s, tenant, r)
		case openEnded:
			c.Report(OpenPrefix, "%s", r)
		case allTenants:
			c.Report(BroadAllow, "%s", r)
		}
	}
}

// lists checks a statement that lists.
func (c *checker) lists(s Statement) {
	if !slices.ContainsFunc(s.Resource, func(r string) bool {
		res, ok := parseResource(r, c.buckets)
		return ok && res.bucket()
	}) {
		return
	}
	held := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key != "cos:prefix" || !requires(cond) || cond.Set != "" || !strings.HasPrefix(cond.Base, "string_")
	})
	if len(held) == 0 {
		c.Report(ListWithoutPrefix, "every name of every tenant")
	}
	c.Narrow(held, func(cond policy.Condition, v string) (id, details string) {
		prefix, ok := decoded(v, wild(cond))
		if cond.Base == "string_equal_ignore_case" { // tenants are in lower case, and so is bots/
			prefix = strings.ToLower(prefix)
		}
		r, tenant := reachOf(prefix, wild(cond), true)
		if r == oneTenant {
			c.bound(s, tenant, v)
		}
		id = map[reach]string{openEnded: OpenPrefix, variable: OtherVariable, allTenants: ListPrefixWide}[r]
		if id == "" && !ok {
			id = PrefixNotEncoded
		}
		return id, "cos:prefix " + policy.Quote(v)
	})
}

// bound checks a literal prefix: it must belong to the tenant of the policy, and no role may
// have the prefixes of two tenants.
func (c *checker) bound(s Statement, tenant, where string) {
	if c.Doc.Tenant != "" && c.Doc.Tenant != tenant {
		c.Report(UnboundPrefix, "%s reaches %s", c.Doc.Tenant, tenant)
		return
	}
	who := s.Principals()
	if c.Doc.Part != policy.BucketPolicy {
		role := c.roles[c.Nth]
		if other := policy.TenantNamed(role, c.tenants); other != "" && !policy.NamesTenant(role, tenant) {
			c.Report(UnboundPrefix, "%s, the role of %s, reaches %s", role, other, tenant)
			return
		}
		who = []string{role}
	}
	for _, w := range who {
		// A principal may be a pattern, of others that are here, too.
		for _, known := range slices.Sorted(maps.Keys(c.Reached)) {
			if other := c.Reached[known]; other != tenant && (glob(known, w) || glob(w, known)) {
				c.Report(UnboundPrefix, "%s reaches %s and %s", w, other, tenant)
			}
		}
		if c.Reached[w] == "" {
			c.Reached[w] = tenant
		}
	}
	if c.Doc.Part == policy.BucketPolicy {
		for kind, list := range s.Principal {
			for _, p := range list {
				c.grant(kind, p, tenant)
			}
		}
	}
}

// grant checks a principal that a bucket policy grants the prefix of a tenant: it must be the
// role of that tenant. The uin of a user does not contain a tenant, so a user is accepted
// unless the documents of roles show their owners.
func (c *checker) grant(kind, principal, tenant string) {
	role := policy.ShortName(principal)
	switch problem := policy.Stranger(role, tenant, c.reaches[role], c.tenants); {
	case isPublic(policy.Principal{kind: {principal}}): // reported as another weakness
	case kind != "qcs" || ownerOf(principal) == "": // the holder of a session chooses its name
		c.Report(UnboundPrefix, "%s %s is not the role of %s alone", kind, principal, tenant)
	case len(c.owners) > 0 && !slices.Contains(c.owners, ownerOf(principal)):
		c.Report(UnboundPrefix, "%s is of another account than the role of %s", principal, tenant)
	case problem != "" && (c.named || strings.HasPrefix(role, "role/")):
		c.Report(UnboundPrefix, "%s", problem)
	}
}

// ownerOf returns the uin of the account in the name of a user, role or provider of CAM, or "".
func ownerOf(name string) string {
	rest, _ := strings.CutPrefix(name, "qcs::cam::uin/")
	owner, _, ok := strings.Cut(rest, ":")
	if !ok || rest == name {
		return ""
	}
	return owner
}

// ownersOf returns the accounts in the name of a document's role, and of the providers that it
// trusts.
func ownersOf(d Document) []string {
	names := []string{d.Origin.Owner}
	for _, s := range d.Policy.Statement {
		if d.Part == policy.TrustPolicy {
			names = append(names, s.Principal["federated"]...)
		}
	}
	var all []string
	for _, name := range names {
		if owner := ownerOf(name); owner != "" {
			all = append(all, owner)
		}
	}
	return all
}

// tenantsOf returns the tenants whose prefixes a document names.
func tenantsOf(d Document, buckets []string) []string {
	var all []string
	for _, s := range d.Policy.Statement {
		for _, r := range s.Resource {
			res, ok := parseResource(r, buckets)
			if reach, tenant := reachOf(res.path, true, false); ok && !res.all && reach == oneTenant {
				all = append(all, tenant)
			}
		}
	}
	return all
}

// http checks that plain http is refused: by the allow, or by a denial of each action.
func (c *checker) http(s Statement) {
	tls := func(value string) func(policy.Condition) bool {
		return func(cond policy.Condition) bool {
			return cond.Key == "cos:secure-transport" && cond.Base == "bool_equal" && len(cond.Values) == 1 && strings.EqualFold(cond.Values[0], value)
		}
	}
	if slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool { return tls("true")(cond) && requires(cond) }) {
		return
	}
	for _, a := range s.Action {
		if !c.covered(s, a, tls("false")) {
			c.Report(HTTPAllowed, "")
			return
		}
	}
	if s.NotAction != nil {
		c.Report(HTTPAllowed, "")
	}
}

// headers checks whether a writer may make its objects public by headers.
func (c *checker) headers(s Statement) {
	for _, w := range writeActions {
		if s.NotAction == nil && !slices.ContainsFunc(s.Action, func(a string) bool { return globAction(a, w) }) {
			continue
		}
		var open []string
		if !c.covered(s, w, refusesACL) {
			open = append(open, "x-cos-acl")
		}
		for _, key := range grantKeys {
			// x-cos-grant-write is a bucket's header only.
			if key != "cos:x-cos-grant-write" && !c.covered(s, w, func(cond policy.Condition) bool {
				return cond.Key == key && cond.Base == "string_like" && slices.Contains(cond.Values, "*")
			}) {
				open = append(open, strings.TrimPrefix(key, "cos:"))
			}
		}
		if len(open) > 0 {
			c.Report(PublicHeader, "%s", strings.Join(open, ", "))
		}
	}
}

// refusesACL reports whether a denial excludes each x-cos-acl that grants access to others.
func refusesACL(cond policy.Condition) bool {
	has := func(v string) bool { return slices.Contains(cond.Values, v) }
	switch {
	case cond.Key != "cos:x-cos-acl":
		return false
	case cond.Base == "string_not_equal":
		// How a list reads under a negation is not known; both ways are safe here.
		return !slices.ContainsFunc(cond.Values, func(v string) bool { return v != "private" && v != "default" })
	case cond.Base == "string_like":
		return has("*")
	}
	return cond.Base == "string_equal" && has("public-read") && has("authenticated-read")
}
