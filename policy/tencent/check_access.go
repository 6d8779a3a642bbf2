package tencent

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// The actions that a tenant may need, on objects, lists and the bucket. The preset policies of
// Tencent also contain UploadPartCopy and DeleteMultipleObjects.
var (
	objectNames = []string{
		"cos:GetObject", "cos:HeadObject", "cos:PutObject", "cos:DeleteObject", "cos:InitiateMultipartUpload", "cos:UploadPart", "cos:UploadPartCopy",
		"cos:CompleteMultipartUpload", "cos:AbortMultipartUpload", "cos:ListParts", "cos:DeleteMultipleObjects",
	}
	listNames   = []string{"cos:GetBucket", "cos:GetBucketObjectVersions", "cos:ListMultipartUploads"}
	bucketNames = []string{"cos:HeadBucket", "cos:GetBucketVersioning", "cos:GetBucketACL", "cos:GetBucketPolicy", "cos:GetBucketLifecycle"}
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
		if strings.Contains(p, "*") && !isPublic(policy.Principal{"qcs": {p}}) {
			c.Report(PublicAllow, "%s", p)
		}
		if strings.Contains(p, ":roleName/") || strings.Contains(p, ":role/") {
			c.Report(RolePrincipal, "%s", p)
		}
	}
	if s.NotResource != nil {
		if lists || objects {
			c.Report(BroadAllow, "everything that not_resource does not list")
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
	// rightsServices are services whose actions grant permissions or keys, or move objects.
	rightsServices = []string{"cos", "ci", "cam", "sts", "kms", "organization", "account", "msp", "csg"}
	// runActions are actions that run code with the permissions of another role, or that publish the
	// objects of a bucket.
	runActions = strings.Fields(`scf:CreateFunction scf:UpdateFunctionCode scf:UpdateFunctionConfiguration scf:CreateTrigger
		tat:RunCommand tat:CreateCommand tat:ModifyCommand tat:InvokeCommand tat:CreateInvoker cvm:RunInstances cvm:ModifyInstancesAttribute
		as:CreateLaunchConfiguration as:CreateAutoScalingGroup batch:SubmitJob batch:CreateComputeEnv tione:CreateTrainingTask tione:CreateNotebook
		tic:CreateStack tic:ApplyStack tic:UpdateStack tke:CreateCluster emr:CreateInstance dlc:CreateSparkApp dlc:CreateTask
		cdn:AddCdnDomain cdn:UpdateDomainConfig cdn:ModifyDomainConfig ecdn:AddEcdnDomain ecdn:UpdateDomainConfig
		teo:CreateAccelerationDomain teo:ModifyAccelerationDomain teo:CreateOriginGroup teo:ModifyOriginGroup`)
)

// matters reports whether an action can access the buckets or obtain permissions. Other actions,
// such as cls:pushLog, do not affect tenants.
func (c *checker) matters(name string, s Statement) bool {
	service, action, ok := strings.Cut(name, ":")
	if !ok {
		return true // "*"
	}
	reads := strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List") || strings.HasPrefix(action, "Describe")
	return slices.ContainsFunc(runActions, func(known string) bool { return glob(name, known) }) || slices.ContainsFunc(rightsServices, func(known string) bool {
		switch known {
		case "cos", "ci":
			return glob(service, known) && c.concerns(s)
		case "sts": // GetFederationToken returns credentials
			return glob(service, known) && action != "GetCallerIdentity"
		}
		return glob(service, known) && !reads
	})
}

// actions reports the allowed actions that no tenant needs. It returns whether the statement allows
// lists, and whether it allows requests for objects.
func (c *checker) actions(s Statement) (lists, objects bool) {
	oneKey := s.Resource != nil && !slices.ContainsFunc(s.Resource, func(r string) bool { return !isKeyResource(r) })
	for _, a := range s.Action {
		name := strings.TrimPrefix(a, "name/")
		matches := func(known string) bool { return glob(name, known) }
		lists = lists || slices.ContainsFunc(listNames, matches)
		objects = objects || slices.ContainsFunc(objectNames, matches)
		switch {
		case !c.matters(name, s), oneKey && (name == "kms:Encrypt" || name == "kms:Decrypt"):
		case strings.Contains(a, "*"):
			c.Report(BroadAction, "%s", a)
		case !slices.ContainsFunc(slices.Concat(objectNames, listNames, bucketNames), matches):
			c.Report(ExcessAction, "%s", a)
			// An unknown action is treated as an action on objects.
			objects = objects || strings.HasPrefix(name, "cos:") && !strings.Contains(name, "Bucket")
		}
	}
	if s.NotAction != nil {
		if slices.ContainsFunc(s.Resource, func(r string) bool {
			parts := strings.SplitN(r, ":", 6)
			return len(parts) == 6 && parts[2] != "cos" && slices.ContainsFunc(rightsServices, func(known string) bool { return glob(parts[2], known) })
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
	required := slices.DeleteFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key != "cos:prefix" || !requires(cond) || cond.Set != "" || !strings.HasPrefix(cond.Base, "string_")
	})
	if len(required) == 0 {
		c.Report(ListWithoutPrefix, "it lists every name of every tenant")
	}
	c.Narrow(required, func(cond policy.Condition, v string) (id, details string) {
		prefix, ok := decoded(v, wild(cond))
		if cond.Base == "string_equal_ignore_case" { // tenants and bots/ are in lower case
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
		c.Report(UnboundPrefix, "%s can access %s", c.Doc.Tenant, tenant)
		return
	}
	principals := s.Principals()
	if c.Doc.Part != policy.BucketPolicy {
		role := c.roles[c.Nth]
		if other := policy.TenantNamed(role, c.tenants); other != "" && !policy.NamesTenant(role, tenant) {
			c.Report(UnboundPrefix, "%s, which is the role of %s, can access %s", role, other, tenant)
			return
		}
		principals = []string{role}
	}
	for _, p := range principals {
		// A principal may be a pattern that matches other principals in these files.
		for _, known := range slices.Sorted(maps.Keys(c.Reached)) {
			if other := c.Reached[known]; other != tenant && (glob(known, p) || glob(p, known)) {
				c.Report(UnboundPrefix, "%s can access %s and %s", p, other, tenant)
			}
		}
		if c.Reached[p] == "" {
			c.Reached[p] = tenant
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

// grant checks a principal that a bucket policy grants the prefix of a tenant. It must be the role
// of this tenant. The uin of a user does not contain a tenant, so one user is accepted, unless the
// documents of roles contain their owners.
func (c *checker) grant(kind, principal, tenant string) {
	role := policy.ShortName(principal)
	switch problem := policy.OwnerProblem(role, tenant, c.reaches[role], c.tenants); {
	case isPublic(policy.Principal{kind: {principal}}): // reported as PublicAllow
	case kind != "qcs" || !isOnePrincipal(principal): // the name of a session proves nothing, because its holder chooses it
		c.Report(UnboundPrefix, "%s %s is not a role that belongs only to %s", kind, principal, tenant)
	case len(c.owners) > 0 && !slices.Contains(c.owners, ownerOf(principal)):
		c.Report(UnboundPrefix, "%s belongs to another account than the role of %s", principal, tenant)
	case problem != "" && (c.named || strings.HasPrefix(role, "role/")):
		c.Report(UnboundPrefix, "%s", problem)
	}
}

// onePrincipal matches the part of a principal after its account that names one user, the owner of the
// account or one role.
var onePrincipal = regexp.MustCompile(`^(uin/[0-9]+|root|(roleName|role)/[^*]+)$`)

// isOnePrincipal reports whether a principal is one user, one role or the owner of an account, and not
// a group, a service or all users.
func isOnePrincipal(principal string) bool {
	owner := ownerOf(principal)
	return owner != "" && onePrincipal.MatchString(strings.TrimPrefix(principal, "qcs::cam::uin/"+owner+":"))
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

// http checks that plain http is not allowed: by a condition of the statement, or by a Deny of each
// action.
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

// headers checks whether a writer can make its objects public with headers.
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
			// x-cos-grant-write applies only to buckets.
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

// refusesACL reports whether a Deny with this condition excludes each x-cos-acl that grants access
// to others.
func refusesACL(cond policy.Condition) bool {
	has := func(v string) bool { return slices.Contains(cond.Values, v) }
	switch {
	case cond.Key != "cos:x-cos-acl":
		return false
	case cond.Base == "string_not_equal":
		// COS does not document how it evaluates a list with a negated operator. This list is safe
		// for both possible meanings.
		return !slices.ContainsFunc(cond.Values, func(v string) bool { return v != "private" && v != "default" })
	case cond.Base == "string_like":
		return has("*")
	}
	return cond.Base == "string_equal" && has("public-read") && has("authenticated-read")
}
