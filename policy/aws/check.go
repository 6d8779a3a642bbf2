package aws

import (
	"fmt"
	"slices"
	"strings"
)

// CheckOptions say what the documents are meant to be. The zero value finds out what it
// can from the documents themselves.
type CheckOptions struct {
	Dialect    Dialect
	Isolation  Isolation // empty: by tag if a document speaks of session tags, else by role
	Bucket     string    // empty: all of them
	Tag        string    // empty: whichever one makes sense of all the documents
	Audience   string    // empty: any one audience
	AllowPurge bool      // deleting old versions for ever is wanted
	TLS        bool      // RGW: plain http is a hole there too
}

// A Finding is a hole in a document.
type Finding struct {
	File      string `json:"file"`
	Part      Part   `json:"part"`
	Tenant    string `json:"tenant,omitempty"`
	Statement *int   `json:"statement,omitempty"` // its index; nil: the document as a whole
	Sid       string `json:"sid,omitempty"`
	Hole      string `json:"hole"`
	Message   string `json:"message"` // what it allows
	Fix       string `json:"fix"`
}

// Where names the part and the statement, as in role_policy Statement[1] (OwnList).
func (f Finding) Where() string {
	where := string(f.Part)
	if f.Tenant != "" {
		where = f.Tenant + " " + where
	}
	if f.Statement != nil {
		where += fmt.Sprintf(" Statement[%d]", *f.Statement)
	}
	if f.Sid != "" {
		where += " (" + f.Sid + ")"
	}
	return where
}

// Check returns the holes that are known, in the order of docs. None does not mean
// that tenants are apart: a policy that is not among docs may allow more.
func Check(docs []Document, o CheckOptions) []Finding {
	o.Dialect = or(o.Dialect, AWS)
	if o.Isolation == "" && o.Tag != "" {
		o.Isolation = ByTag
	}
	o.Isolation = or(o.Isolation, isolationOf(docs))
	tags := []string{o.Tag}
	if o.Tag == "" && o.Isolation == ByTag {
		tags = tagsOf(docs, o.Bucket)
	}
	// Prefixes, guards and trust all have to speak of one tag.
	var best []Finding
	for i, tag := range tags {
		c := &checker{o: o}
		c.o.Tag = tag
		for _, d := range docs {
			c.document(d)
		}
		if i == 0 || len(c.found) < len(best) {
			best = c.found
		}
	}
	return best
}

type checker struct {
	o     CheckOptions
	found []Finding
	doc   Document
	at    int // the statement; -1 for the document
	// tenants is which tenant a role, or a principal of a bucket policy, has been
	// allowed to reach, with ByRole.
	tenants map[string]string
}

// hole adds a finding, once for each statement and message.
func (c *checker) hole(id, format string, args ...any) {
	all := Holes()
	h := all[slices.IndexFunc(all, func(h Hole) bool { return h.ID == id })]
	f := Finding{File: c.doc.File, Part: c.doc.Part, Tenant: c.doc.Tenant, Hole: id, Message: h.Is, Fix: h.Fix}
	if format != "" {
		f.Message += ": " + fmt.Sprintf(format, args...)
	}
	if c.at >= 0 {
		at := c.at
		f.Statement, f.Sid = &at, c.doc.Policy.Statement[at].Sid
	}
	same := func(g Finding) bool {
		return g.File == f.File && g.Part == f.Part && g.Tenant == f.Tenant && g.Hole == id && g.Message == f.Message &&
			(g.Statement == nil) == (f.Statement == nil) && (f.Statement == nil || *g.Statement == *f.Statement)
	}
	if !slices.ContainsFunc(c.found, same) {
		c.found = append(c.found, f)
	}
}

// isolationOf finds out what isolates. A role that asks for one exact subject or tag is
// the role of one tenant.
func isolationOf(docs []Document) Isolation {
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			exact := slices.ContainsFunc(s.Condition.list(), func(cond condition) bool {
				return cond.exact() && (strings.HasSuffix(cond.key, ":sub") || strings.HasPrefix(cond.key, requestTag))
			})
			if d.Part == TrustPolicy && s.Effect == "Allow" && !exact && grants(s, "sts:TagSession") {
				return ByTag
			}
			for _, list := range [][]string{s.Resource, s.NotResource} {
				for _, r := range list {
					if strings.Contains(strings.ToLower(r), "${"+principalTag) {
						return ByTag
					}
				}
			}
			for _, cond := range s.Condition.list() {
				if strings.HasPrefix(cond.key, principalTag) || strings.HasPrefix(cond.key, requestTag) && !cond.exact() {
					return ByTag
				}
				for _, v := range cond.values {
					if strings.Contains(strings.ToLower(v), "${"+principalTag) {
						return ByTag
					}
				}
			}
		}
	}
	return ByRole
}

func (c *checker) document(d Document) {
	c.doc, c.tenants = d, make(map[string]string)
	c.at = -1
	if d.Policy.Version != "2012-10-17" && strings.Contains(d.Policy.String(), "${") {
		c.hole(OldVersion, "")
	}
	if d.Part == BucketPolicy && (c.o.Dialect == AWS || c.o.TLS) && !c.refusesHTTP(d.Policy) {
		c.hole(HTTPAllowed, "")
	}
	for i, s := range d.Policy.Statement {
		c.at = i
		if c.o.Dialect == RGW {
			c.rgw(s)
		}
		if s.Effect != "Allow" {
			continue
		}
		c.shape(s)
		if d.Part == TrustPolicy {
			c.trust(s)
		} else {
			c.access(s)
		}
	}
}

// shape is what is wrong with an allow whatever it is about.
func (c *checker) shape(s Statement) {
	if s.NotAction != nil || s.NotResource != nil || s.NotPrincipal != nil {
		c.hole(NotElement, "")
	}
	for _, cond := range s.Condition.list() {
		decides := c.isTagKey(cond.key) || cond.key == "s3:prefix" || strings.HasSuffix(cond.key, ":aud") || strings.HasSuffix(cond.key, ":sub")
		if !decides {
			continue
		}
		guarded := c.guarded(s, cond.key)
		switch {
		case cond.base == "Null":
			if cond.isNull("true") && c.isTagKey(cond.key) && c.o.Dialect != RGW {
				c.hole(InvertedNull, "%s", cond.key)
			}
			continue
		case cond.ifExists && !guarded:
			c.hole(IfExistsOperator, "%s", cond.key)
		case cond.set == "ForAllValues" && !guarded, cond.set == "ForAnyValue" && cond.negated():
			c.hole(SetOperator, "%s", cond.key)
		case cond.negated() && !guarded:
			c.hole(NegatedMissing, "%s %s", cond.base, cond.key)
		}
	}
}

const requestTag = "aws:requesttag/"

// isTagKey says whether key is the tag of the session, or of the request for one.
func (c *checker) isTagKey(key string) bool {
	for _, start := range []string{principalTag, requestTag} {
		if name, ok := strings.CutPrefix(key, start); ok && (c.o.Tag == "" || name == strings.ToLower(c.o.Tag)) {
			return true
		}
	}
	return false
}

// guarded says whether the statement does not apply where key is missing.
func (c *checker) guarded(s Statement, key string) bool {
	return slices.ContainsFunc(s.Condition.list(), func(cond condition) bool {
		return cond.key == key && (cond.requires() || c.o.Dialect != RGW && cond.isNull("false") && !cond.isNull("true"))
	})
}

// tagGuarded says whether the statement does not apply to those without the tag.
func (c *checker) tagGuarded(s Statement, start string) bool {
	return slices.ContainsFunc(s.Condition.list(), func(cond condition) bool {
		return strings.HasPrefix(cond.key, start) && c.isTagKey(cond.key) && c.guarded(s, cond.key)
	})
}

// rgw is what an RGW reads in a way of its own.
func (c *checker) rgw(s Statement) {
	for _, r := range append(slices.Clone(s.Resource), s.NotResource...) {
		if strings.Contains(r, "${") {
			c.hole(RGWVariable, "%s", r)
		}
	}
	for _, cond := range s.Condition.list() {
		// A denial of those without the tag is what Null means there.
		if cond.base == "Null" && c.isTagKey(cond.key) && !(s.Effect == "Deny" && cond.isNull("true")) {
			c.hole(RGWNull, "%s", cond.key)
		}
		for _, v := range cond.values {
			if i := strings.Index(v, "${"); i > 0 || i == 0 && !strings.HasSuffix(v, "}") {
				c.hole(RGWVariable, "%s", v)
			}
		}
	}
}

// refusesHTTP says whether everybody is denied everything without TLS: the bucket, and
// what is in it.
func (c *checker) refusesHTTP(p *Policy) bool {
	bucket, objects := false, false
	for _, s := range p.Statement {
		everyone := s.Principal["*"] != nil || slices.Contains(s.Principal["AWS"], "*")
		list := s.Condition.list()
		if s.Effect != "Deny" || !everyone || len(list) != 1 || list[0].key != "aws:securetransport" || list[0].base != "Bool" || list[0].set != "" ||
			c.o.Dialect == RGW && !list[0].ifExists || // it says nothing of plain http
			!slices.ContainsFunc(list[0].values, func(v string) bool { return strings.EqualFold(v, "false") }) ||
			!slices.ContainsFunc(s.Action, func(a string) bool { return a == "*" || strings.EqualFold(a, "s3:*") }) {
			continue
		}
		for _, r := range s.Resource {
			res, ok := parseResource(r, c.o.Bucket)
			if ok && res.all {
				// arn:aws:s3:::vault* covers both, if it is about this bucket at all.
				_, pattern, _ := strings.Cut(r, ":::")
				name, _, _ := strings.Cut(pattern, "/")
				name = or(c.o.Bucket, name)
				bucket = bucket || r == "*" || glob(pattern, name)
				objects = objects || r == "*" || strings.HasSuffix(pattern, "*") && glob(pattern, name+"/")
			} else if ok {
				bucket, objects = bucket || !res.object, objects || res.key == "*"
			}
		}
	}
	return bucket && objects
}
