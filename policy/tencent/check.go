package tencent

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// CheckOptions describe what the documents are meant to allow. An empty field means any.
type CheckOptions struct {
	Bucket    string // empty: the buckets in which a document allows access to a prefix of tenants, or all buckets if none does
	Issuer    string
	Audience  string
	Operators []string // principals, such as qcs::cam::uin/…, that should be able to access every tenant, and the audit bucket
	Audit     policy.Audit
}

// Check returns the known weaknesses of the documents, in the order of the documents. Even without
// findings, a tenant may be able to access another tenant: a policy or an ACL that is not in docs
// may allow more.
func Check(docs []Document, o CheckOptions) []Finding {
	docs = slices.DeleteFunc(slices.Clone(docs), operators(o.Operators).owns)
	c := &checker{o: o, survey: newSurvey(docs, o)}
	strangers := c.strangers(docs, o.Bucket)
	judged := func(rule func(Statement)) func(Statement) { // skips the operators
		return func(s Statement) {
			if rest, ok := operators(o.Operators).without(s); ok {
				rule(rest)
			}
		}
	}
	found := c.Run(docs, policy.Rules{
		Weaknesses: Weaknesses(),
		Document: func() {
			if strangers[c.Nth] && !c.isOfAudit() {
				c.Report(OtherBucket, "%s", names(subject.Named(c.Doc.Policy.Statement)))
			}
		},
		Allow: judged(c.shape), Trust: judged(c.trust), Access: judged(func(s Statement) { c.audit(s); c.access(s) }),
	})
	return append(found, o.Audit.Check(c.buckets)...)
}

// isOfAudit reports whether the document is the policy of an audit bucket.
func (c *checker) isOfAudit() bool {
	named := subject.Named(c.Doc.Policy.Statement)
	return c.Doc.Part == policy.BucketPolicy && len(named) == 1 && slices.Contains(c.o.Audit.Names(), named[0])
}

// grantsCOS reports whether a statement allows an action of COS.
func grantsCOS(s Statement) bool {
	return s.NotAction != nil || slices.ContainsFunc(s.Action, func(a string) bool {
		service, _, ok := strings.Cut(strings.TrimPrefix(strings.ToLower(a), "name/"), ":")
		return !ok || service == "cos" || strings.Contains(service, "*")
	})
}

// audit checks whether an allow reaches the audit bucket. COS delivers logs without a policy.
func (c *checker) audit(s Statement) {
	names := c.o.Audit.Names()
	switch {
	case len(names) == 0 || c.Doc.Part == policy.TrustPolicy || !grantsCOS(s):
	case s.NotResource != nil:
		c.Report(policy.AuditOpen, "everything that not_resource does not list")
	default:
		for _, r := range s.Resource {
			if _, ok := parseResource(r, names); ok {
				c.Report(policy.AuditOpen, "%s", r)
			}
		}
	}
}

// names joins the names in a document for a message.
func names(list []string) string {
	if len(list) == 0 {
		return "it names no bucket"
	}
	return "it names " + strings.Join(list, ", ")
}

type checker struct {
	policy.Checker[Language]
	*survey
	o       CheckOptions
	trusted []policy.Trusted // the tokens that the trust policies so far accept
}

// shape checks an allow for weaknesses that do not depend on its resources, if it is about
// roles or one of the buckets.
func (c *checker) shape(s Statement) {
	if c.Doc.Part != policy.TrustPolicy && !c.concerns(s) {
		return
	}
	if s.NotAction != nil || s.NotResource != nil || s.NotPrincipal != nil {
		c.Report(NotElement, "")
	}
	for _, cond := range conditions(s) {
		switch {
		case !strings.HasPrefix(cond.Key, "oidc:") && !strings.HasPrefix(cond.Key, "cos:"):
			continue
		case cond.IfExists:
			c.Report(IfExistsOperator, "%s", cond.Key)
		case cond.Set == "for_all_value":
			c.Report(SetOperator, "%s", cond.Key)
		}
	}
}

// covered reports whether a Deny in the document applies to the action for all resources of the
// statement s that allows it. The Deny must have exactly one condition, for which right is true.
func (c *checker) covered(s Statement, action string, right func(policy.Condition) bool) bool {
	for _, d := range c.Doc.Policy.Statement {
		list := conditions(d)
		if d.Effect != "deny" || len(list) != 1 || list[0].Set != "" || !right(list[0]) ||
			!slices.ContainsFunc(d.Action, func(a string) bool { return globAction(a, action) }) || !appliesToPrincipals(d, s) {
			continue
		}
		uncovered := func(r string) bool {
			return !slices.ContainsFunc(d.Resource, func(wide string) bool { return glob(wide, r) })
		}
		if len(s.Resource) > 0 && !slices.ContainsFunc(s.Resource, uncovered) {
			return true
		}
	}
	return false
}

// appliesToPrincipals reports whether a Deny applies to each principal of an Allow. A Deny for
// anyone applies to unsigned requests, and to signed requests only if the Allow is also for anyone
// (436/35240).
func appliesToPrincipals(deny, allow Statement) bool {
	if deny.NotPrincipal != nil || allow.NotPrincipal != nil {
		return false
	}
	for kind, list := range allow.Principal {
		for _, p := range list {
			if isPublic(policy.Principal{kind: {p}}) {
				if !isPublic(deny.Principal) {
					return false
				}
			} else if !slices.ContainsFunc(deny.Principal[kind], func(pattern string) bool { return glob(pattern, p) && !isPublic(policy.Principal{kind: {pattern}}) }) {
				return false
			}
		}
	}
	return true
}

// isPublic reports whether a principal is anyone, in one of the forms that COS has documented.
func isPublic(p policy.Principal) bool {
	return p["*"] != nil || slices.ContainsFunc(p["qcs"], func(name string) bool {
		return name == "*" || strings.HasPrefix(name, "qcs::cam::anyone:") || strings.HasPrefix(name, "qcs::cam::anonymous:") || strings.HasPrefix(name, "qcs::cam::*")
	})
}

// globAction reports whether an action matches a pattern. Both may have the prefix name/.
func globAction(pattern, action string) bool {
	return glob(strings.TrimPrefix(pattern, "name/"), strings.TrimPrefix(action, "name/"))
}
