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
	Isolation  Isolation // empty: by tag if a document speaks of session tags, else by role
	Bucket     string    // empty: all of them
	Tag        string    // empty: whichever one makes sense of all the documents
	Audience   string    // empty: any one audience
	AllowPurge bool      // tenants are meant to delete old versions permanently
	TLS        bool      // RGW: plain http is a weakness there too
}

// Check returns the known weaknesses of the documents, in their order. Without findings
// tenants may still reach each other: a policy that is not among docs may allow more.
func Check(docs []Document, o CheckOptions) []Finding {
	o.Dialect = cmp.Or(o.Dialect, AWS)
	if o.Isolation == "" && o.Tag != "" {
		o.Isolation = ByTag
	}
	o.Isolation = cmp.Or(o.Isolation, isolationOf(docs))
	tags := []string{o.Tag}
	if o.Tag == "" && o.Isolation == ByTag {
		tags = tagsOf(docs, o.Bucket)
	}
	// Prefixes, guards and trust all have to speak of one tag.
	var best []Finding
	for i, tag := range tags {
		c := &checker{o: o}
		c.o.Tag = tag
		found := c.Run(docs, policy.Rules{
			Weaknesses: Weaknesses(), Document: c.document, Every: c.rgw, Allow: c.shape, Trust: c.trust, Access: c.access,
		})
		if i == 0 || len(found) < len(best) {
			best = found
		}
	}
	return best
}

type checker struct {
	policy.Checker[Language]
	o CheckOptions
}

// isolationOf infers what isolates. A role that asks for one exact subject or tag is the
// role of one tenant.
func isolationOf(docs []Document) Isolation {
	usesTag := func(v string) bool { return strings.Contains(strings.ToLower(v), "${"+principalTag) }
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			oneTenant := slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return exact(cond) && (strings.HasSuffix(cond.Key, ":sub") || strings.HasPrefix(cond.Key, requestTag))
			})
			byTag := slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return strings.HasPrefix(cond.Key, principalTag) || strings.HasPrefix(cond.Key, requestTag) && !exact(cond) || slices.ContainsFunc(cond.Values, usesTag)
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
	if p.Version != "2012-10-17" && strings.Contains(p.String(), "${") {
		c.Report(OldVersion, "")
	}
	if c.Doc.Part == policy.BucketPolicy && (c.o.Dialect == AWS || c.o.TLS) && !c.refusesHTTP(p) {
		c.Report(HTTPAllowed, "")
	}
}

// shape checks an allow for weaknesses that do not depend on its resources.
func (c *checker) shape(s Statement) {
	if s.NotAction != nil || s.NotResource != nil || s.NotPrincipal != nil {
		c.Report(NotElement, "")
	}
	for _, cond := range conditions(s) {
		decides := c.isTagKey(cond.Key) || cond.Key == "s3:prefix" || strings.HasSuffix(cond.Key, ":aud") || strings.HasSuffix(cond.Key, ":sub")
		if !decides {
			continue
		}
		guarded := c.guarded(s, cond.Key)
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

// isPublic reports whether the principal of a statement is everybody.
func isPublic(s Statement) bool {
	return s.Principal["*"] != nil || slices.Contains(s.Principal["AWS"], "*")
}

const requestTag = "aws:requesttag/"

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
		return cond.Key == key && (requires(cond) || c.o.Dialect != RGW && isNull(cond, "false") && !isNull(cond, "true"))
	})
}

// tagGuarded reports whether the statement does not apply to those without the tag.
func (c *checker) tagGuarded(s Statement, start string) bool {
	return slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
		return strings.HasPrefix(cond.Key, start) && c.isTagKey(cond.Key) && c.guarded(s, cond.Key)
	})
}

// rgw checks a statement for what an RGW reads differently from AWS.
func (c *checker) rgw(s Statement) {
	if c.o.Dialect != RGW {
		return
	}
	for _, r := range append(slices.Clone(s.Resource), s.NotResource...) {
		if strings.Contains(r, "${") {
			c.Report(RGWVariable, "%s", r)
		}
	}
	for _, cond := range conditions(s) {
		// A denial of those without the tag is what Null means there.
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

// refusesHTTP reports whether everybody is denied everything without TLS: the bucket, and
// what is in it.
func (c *checker) refusesHTTP(p *Policy) bool {
	bucket, objects := false, false
	for _, s := range p.Statement {
		list := conditions(s)
		if s.Effect != "Deny" || !isPublic(s) || len(list) != 1 || list[0].Key != "aws:securetransport" || list[0].Base != "Bool" || list[0].Set != "" ||
			c.o.Dialect == RGW && !list[0].IfExists || // it says nothing of plain http
			!slices.ContainsFunc(list[0].Values, func(v string) bool { return strings.EqualFold(v, "false") }) ||
			!slices.ContainsFunc(s.Action, func(a string) bool { return a == "*" || strings.EqualFold(a, "s3:*") }) {
			continue
		}
		for _, r := range s.Resource {
			res, ok := parseResource(r, c.o.Bucket)
			if ok && res.all {
				// arn:aws:s3:::vault* covers both, if it is about this bucket at all.
				_, pattern, _ := strings.Cut(r, ":::")
				name, _, _ := strings.Cut(pattern, "/")
				name = cmp.Or(c.o.Bucket, name)
				bucket = bucket || r == "*" || glob(pattern, name)
				objects = objects || r == "*" || strings.HasSuffix(pattern, "*") && glob(pattern, name+"/")
			} else if ok {
				bucket, objects = bucket || !res.object, objects || res.key == "*"
			}
		}
	}
	return bucket && objects
}
