package aws

import (
	"cmp"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// CheckOptions describe what the documents are meant to allow. [Check] infers empty fields
// from the documents.
type CheckOptions struct {
	Dialect    Dialect
	Isolation  Isolation // empty: by tag if a statement about the buckets or about tokens refers to session tags, otherwise by role
	Bucket     string    // empty: the buckets in which a document allows access to a prefix of tenants, or all buckets if none does
	Tag        string    // empty: of the tags that the documents use, the one with the fewest findings
	Audience   string    // empty: any single audience
	AllowPurge bool      // tenants should be able to delete old versions permanently
	TLS        bool      // RGW: report plain http as a weakness, too
	Operators  []string  // ARNs of principals that should be able to access every tenant, and the audit bucket
	Audit      policy.Audit
}

// Check returns the known weaknesses of the documents, in the order of the documents. Even without
// findings, a tenant may be able to access another tenant: a policy that is not in docs may allow
// more.
func Check(docs []Document, o CheckOptions) []Finding {
	o.Dialect = cmp.Or(o.Dialect, AWS)
	if o.Isolation == "" && o.Tag != "" {
		o.Isolation = ByTag
	}
	docs = slices.DeleteFunc(slices.Clone(docs), func(d Document) bool { return operators(o.Operators).owns(d) || serviceLinked(d) })
	v := newSurvey(docs, o)
	unrelated, related := make([]bool, len(docs)), []Document{}
	for i, d := range docs {
		if unrelated[i] = v.unrelated(docs, i); !unrelated[i] {
			related = append(related, d)
		}
	}
	o.Isolation = cmp.Or(o.Isolation, v.isolation(related))
	tags := []string{o.Tag}
	if o.Tag == "" && o.Isolation == ByTag {
		tags = tagsOf(related, v.buckets)
	}
	strangers := v.strangers(docs, o.Bucket)
	// Prefixes, guards and trust must refer to the same tag.
	var best []Finding
	for i, tag := range tags {
		c := &checker{o: o, survey: v, unrelated: unrelated, used: usedBy(related, o.Operators)}
		c.o.Tag = tag
		judged := func(rule func(Statement)) func(Statement) { // skips the operators
			return func(s Statement) {
				if rest, ok := operators(o.Operators).without(s); ok {
					rule(rest)
				}
			}
		}
		tenants := func(rule func(Statement)) func(Statement) { // also skips roles that cannot access any tenant
			return judged(func(s Statement) {
				if !unrelated[c.Nth] {
					rule(s)
				}
			})
		}
		found := c.Run(docs, policy.Rules{
			Weaknesses: Weaknesses(),
			Document: func() {
				switch {
				case c.isOfAudit():
				case strangers[c.Nth]:
					c.Report(OtherBucket, "%s", names(subject.Named(c.Doc.Policy.Statement)))
				case !unrelated[c.Nth]:
					c.document()
				default:
					c.unseen()
				}
			},
			Every: c.rgw, Allow: tenants(c.shape), Trust: tenants(c.trust), Access: judged(func(s Statement) { c.audit(s); c.access(s) }),
		})
		if i == 0 || len(found) < len(best) {
			best = found
		}
	}
	return append(best, o.Audit.Check(v.buckets)...)
}

// names joins the names in a document for a message.
func names(list []string) string {
	if len(list) == 0 {
		return "it names no bucket"
	}
	return "it names " + strings.Join(list, ", ")
}

// isOfAudit reports whether the document is the policy of an audit bucket.
func (c *checker) isOfAudit() bool {
	named := subject.Named(c.Doc.Policy.Statement)
	return c.Doc.Part == policy.BucketPolicy && len(named) == 1 && slices.Contains(c.o.Audit.Names(), named[0])
}

// audit checks whether an allow reaches the audit bucket. Only services of the cloud should.
func (c *checker) audit(s Statement) {
	names := c.o.Audit.Names()
	if len(names) == 0 || c.Doc.Part == policy.TrustPolicy || !grantsS3(s) {
		return
	}
	for kind := range s.Principal {
		if kind == "Service" {
			continue
		}
		if c.isOfAudit() {
			c.Report(policy.AuditOpen, "%s", strings.Join(s.Principals(), ", "))
			return
		}
	}
	if s.Principal["Service"] != nil && len(s.Principal) == 1 {
		return
	}
	if s.NotResource != nil {
		c.Report(policy.AuditOpen, "everything that NotResource does not list")
		return
	}
	for _, r := range s.Resource {
		if _, ok := parseResource(r, names); ok {
			c.Report(policy.AuditOpen, "%s", r)
		}
	}
}

// grantsS3 reports whether a statement allows an action of S3.
func grantsS3(s Statement) bool {
	return s.NotAction != nil || slices.ContainsFunc(s.Action, func(a string) bool {
		service, _, ok := strings.Cut(strings.ToLower(a), ":")
		return !ok || glob(service, "s3")
	})
}

type checker struct {
	policy.Checker[Language]
	*survey
	o         CheckOptions
	unrelated []bool           // for each document: it belongs to a role that cannot access any tenant
	used      arns             // the ARNs that tenants and operators use
	trusted   []policy.Trusted // the tokens that the trust policies so far accept
}

// isolation infers the mechanism that isolates tenants from statements about the buckets and
// about tokens. A role that requires one exact subject or tag is the role of one tenant.
func (v *survey) isolation(docs []Document) Isolation {
	usesTag := func(v string) bool { return strings.Contains(strings.ToLower(v), "${"+principalTag) }
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			if d.Part == policy.TrustPolicy && !acceptsTokens(s) || d.Part != policy.TrustPolicy && !v.affectsTenants(s) {
				continue
			}
			oneTenant := slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return (exact(cond) || ignoresCase(cond)) && (strings.HasSuffix(cond.Key, ":sub") || strings.HasPrefix(cond.Key, requestTag))
			})
			byTag := slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return s.Effect == "Allow" && strings.HasPrefix(cond.Key, principalTag) || strings.HasPrefix(cond.Key, requestTag) && !exact(cond) && !ignoresCase(cond) || cond.Key == tagKeys || slices.ContainsFunc(cond.Values, usesTag)
			})
			if byTag || slices.ContainsFunc(slices.Concat(s.Resource, s.NotResource), usesTag) ||
				d.Part == policy.TrustPolicy && s.Effect == "Allow" && !oneTenant && grants(s, "sts:TagSession") {
				return ByTag
			}
		}
	}
	return ByRole
}

// document checks a document as a whole.
func (c *checker) document() {
	p := c.Doc.Policy
	c.unseen()
	if p.Version != "2012-10-17" && strings.Contains(p.String(), "${") {
		c.Report(OldVersion, "")
	}
	if c.Doc.Part == policy.BucketPolicy && (c.o.Dialect == AWS || c.o.TLS) && !c.refusesHTTP(p) {
		c.Report(HTTPAllowed, "")
	}
}

// unseen reports a policy that is named but not in the files. It may allow anything.
func (c *checker) unseen() {
	if c.Doc.Origin.Unseen {
		c.Report(UnseenPolicy, "%s of %s", c.Doc.Origin.Name, policy.ShortName(c.Doc.Origin.Owner))
	}
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
		decides := c.isTagKey(cond.Key) || cond.Key == "s3:prefix" || strings.HasSuffix(cond.Key, ":aud") || strings.HasSuffix(cond.Key, ":sub")
		if !decides {
			continue
		}
		guarded := c.guarded(s, cond.Key)
		if ignoresCase(cond) && !slices.ContainsFunc(conditions(s), func(other policy.Condition) bool { return other.Key == cond.Key && exact(other) }) {
			switch {
			case c.isTagKey(cond.Key):
				c.Report(IgnoresCase, "%s", cond.Key)
			case strings.HasSuffix(cond.Key, ":sub"):
				c.Report(WildcardSubject, "%s is compared without regard to case", cond.Key)
			}
		}
		switch {
		case cond.Base == "Null":
			if isNull(cond, "true") && c.isTagKey(cond.Key) && c.o.Dialect != RGW {
				c.Report(InvertedNull, "%s", cond.Key)
			}
			continue
		case cond.IfExists && !guarded:
			c.Report(IfExistsOperator, "%s", cond.Key)
		case cond.Set == "ForAllValues" && !guarded, cond.Set == "ForAnyValue" && negated(cond):
			c.Report(SetOperator, "%s", cond.Key)
		case negated(cond) && !guarded:
			c.Report(NegatedMissing, "%s %s", cond.Base, cond.Key)
		}
	}
}

// isPublic reports whether the principal of a statement is "*".
func isPublic(s Statement) bool {
	return s.Principal["*"] != nil || slices.Contains(s.Principal["AWS"], "*")
}

const (
	requestTag = "aws:requesttag/"
	tagKeys    = "aws:tagkeys" // the set of tags in the request for a session
)

// isTagKey reports whether key is the tag of the session, or of the request for one.
func (c *checker) isTagKey(key string) bool {
	for _, start := range []string{principalTag, requestTag} {
		if name, ok := strings.CutPrefix(key, start); ok && (c.o.Tag == "" || name == strings.ToLower(c.o.Tag)) {
			return true
		}
	}
	return false
}

// guarded reports whether the statement does not apply where key is missing.
func (c *checker) guarded(s Statement, key string) bool {
	return slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
		tag, requested := strings.CutPrefix(key, requestTag)
		return cond.Key == key && (requires(cond) || c.o.Dialect != RGW && isNull(cond, "false") && !isNull(cond, "true")) ||
			requested && asksFor(cond, tag)
	})
}

// asksFor reports whether a condition is false unless the request for a session has the tag.
func asksFor(cond policy.Condition, tag string) bool {
	return cond.Key == tagKeys && cond.Set == "ForAnyValue" && requires(cond) && (exact(cond) || ignoresCase(cond)) &&
		!slices.ContainsFunc(cond.Values, func(v string) bool { return !strings.EqualFold(v, tag) })
}

// tagGuarded reports whether the statement does not apply to sessions without the tag.
func (c *checker) tagGuarded(s Statement, start string) bool {
	return slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
		key := cond.Key
		if key == tagKeys && start == requestTag && len(cond.Values) > 0 {
			key = requestTag + strings.ToLower(cond.Values[0])
		}
		return strings.HasPrefix(key, start) && c.isTagKey(key) && c.guarded(s, key)
	})
}

// rgw checks a statement for elements that an RGW interprets differently from AWS.
func (c *checker) rgw(s Statement) {
	if c.o.Dialect != RGW || c.unrelated[c.Nth] {
		return
	}
	for _, r := range append(slices.Clone(s.Resource), s.NotResource...) {
		if strings.Contains(r, "${") {
			c.Report(RGWVariable, "%s", r)
		}
	}
	for _, cond := range conditions(s) {
		// An RGW evaluates Null correctly in a Deny for sessions without the tag.
		if cond.Base == "Null" && c.isTagKey(cond.Key) && !(s.Effect == "Deny" && isNull(cond, "true")) {
			c.Report(RGWNull, "%s", cond.Key)
		}
		for _, v := range cond.Values {
			if i := strings.Index(v, "${"); i > 0 || i == 0 && !strings.HasSuffix(v, "}") {
				c.Report(RGWVariable, "%s", v)
			}
		}
	}
}

// targets returns the buckets that a bucket policy applies to: the tenants' buckets that it names,
// or all tenants' buckets. If no bucket of tenants is known, it returns all buckets that the
// statements name.
func (c *checker) targets() []string {
	list := subject.Named(c.Doc.Policy.Statement)
	if len(c.buckets) == 0 {
		return list
	}
	named := slices.DeleteFunc(list, func(name string) bool { return !slices.Contains(c.buckets, name) })
	if len(named) == 0 {
		return c.buckets
	}
	return named
}

// refusesHTTP reports whether all principals are denied all actions without TLS, for each
// bucket of the document and its objects.
func (c *checker) refusesHTTP(p *Policy) bool {
	targets := c.targets()
	if len(targets) == 0 {
		targets = []string{""}
	}
	return !slices.ContainsFunc(targets, func(bucket string) bool { return !c.deniesHTTP(p, bucket) })
}

// deniesHTTP reports whether all principals are denied all actions without TLS in a bucket. If
// the name is empty, the pattern of the resource is used as the bucket.
func (c *checker) deniesHTTP(p *Policy, name string) bool {
	bucket, objects := false, false
	for _, s := range p.Statement {
		list := conditions(s)
		if s.Effect != "Deny" || !isPublic(s) || len(list) != 1 || list[0].Key != "aws:securetransport" || list[0].Base != "Bool" || list[0].Set != "" ||
			c.o.Dialect == RGW && !list[0].IfExists || // over plain http, an RGW does not set the condition key
			!slices.ContainsFunc(list[0].Values, func(v string) bool { return strings.EqualFold(v, "false") }) ||
			!slices.ContainsFunc(s.Action, func(a string) bool { return a == "*" || strings.EqualFold(a, "s3:*") }) {
			continue
		}
		for _, r := range s.Resource {
			var only []string
			if name != "" {
				only = []string{name}
			}
			res, ok := parseResource(r, only)
			if ok && res.all {
				// arn:aws:s3:::vault* includes the bucket and its objects, if it matches this bucket.
				_, pattern, _ := strings.Cut(r, ":::")
				start, _, _ := strings.Cut(pattern, "/")
				target := cmp.Or(name, start)
				bucket = bucket || r == "*" || glob(pattern, target)
				objects = objects || r == "*" || strings.HasSuffix(pattern, "*") && glob(pattern, target+"/")
			} else if ok {
				bucket, objects = bucket || !res.object, objects || res.key == "*"
			}
		}
	}
	return bucket && objects
}
