package tencent

import (
	"fmt"
	"slices"
	"strings"
)

// CheckOptions say what the documents are meant to be. The zero value takes any bucket,
// issuer and audience.
type CheckOptions struct {
	Bucket   string
	Issuer   string
	Audience string
}

// A Finding is a hole in a document.
type Finding struct {
	File      string `json:"file"`
	Part      Part   `json:"part"`
	Tenant    string `json:"tenant,omitempty"`
	Statement *int   `json:"statement,omitempty"` // its index
	Sid       string `json:"sid,omitempty"`
	Hole      string `json:"hole"`
	Message   string `json:"message"` // what it allows
	Fix       string `json:"fix"`
}

// Where names the part and the statement, as in acme role_policy statement[1].
func (f Finding) Where() string {
	where := string(f.Part)
	if f.Tenant != "" {
		where = f.Tenant + " " + where
	}
	if f.Statement != nil {
		where += fmt.Sprintf(" statement[%d]", *f.Statement)
	}
	if f.Sid != "" {
		where += " (" + f.Sid + ")"
	}
	return where
}

// Check returns the holes that are known, in the order of docs. None does not mean that
// tenants are apart: a policy or an ACL that is not among docs may allow more.
func Check(docs []Document, o CheckOptions) []Finding {
	c := &checker{o: o, subjects: make(map[string]string)}
	for _, d := range docs {
		c.document(d)
	}
	return c.found
}

type checker struct {
	o     CheckOptions
	found []Finding
	doc   Document
	at    int // the statement
	// tenants is which tenant the role, or a principal of a bucket policy, has been
	// allowed to reach.
	tenants map[string]string
	// subjects is whose role each subject may assume, in all documents.
	subjects map[string]string
}

// hole adds a finding, once for each statement and message.
func (c *checker) hole(id, format string, args ...any) {
	all := Holes()
	h := all[slices.IndexFunc(all, func(h Hole) bool { return h.ID == id })]
	at := c.at
	f := Finding{
		File: c.doc.File, Part: c.doc.Part, Tenant: c.doc.Tenant, Statement: &at, Sid: c.doc.Policy.Statement[at].ID,
		Hole: id, Message: h.Is, Fix: h.Fix,
	}
	if format != "" {
		f.Message += ": " + fmt.Sprintf(format, args...)
	}
	same := func(g Finding) bool {
		return g.File == f.File && g.Part == f.Part && g.Tenant == f.Tenant && g.Hole == id && g.Message == f.Message && *g.Statement == at
	}
	if !slices.ContainsFunc(c.found, same) {
		c.found = append(c.found, f)
	}
}

func (c *checker) document(d Document) {
	c.doc, c.tenants = d, make(map[string]string)
	for i, s := range d.Policy.Statement {
		c.at = i
		if s.Effect != "allow" {
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
		switch {
		case !strings.HasPrefix(cond.key, "oidc:") && !strings.HasPrefix(cond.key, "cos:"):
			continue
		case cond.ifExist:
			c.hole(IfExistsOperator, "%s", cond.key)
		case cond.set == "for_all_value":
			c.hole(SetOperator, "%s", cond.key)
		}
	}
}

// covered says whether a denial of the document holds for the action wherever the allow
// does, under one condition that is right.
func (c *checker) covered(s Statement, action string, right func(condition) bool) bool {
	for _, d := range c.doc.Policy.Statement {
		list := d.Condition.list()
		if d.Effect != "deny" || len(list) != 1 || list[0].set != "" || !right(list[0]) ||
			!slices.ContainsFunc(d.Action, func(a string) bool { return globAction(a, action) }) || !hits(d, s) {
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

// hits says whether a denial is about each principal of an allow. One of anyone hits the
// unsigned alone, and the signed only where they are allowed as anyone (436/35240).
func hits(deny, allow Statement) bool {
	if deny.NotPrincipal != nil || allow.NotPrincipal != nil {
		return false
	}
	for kind, list := range allow.Principal {
		for _, p := range list {
			if isPublic(Principal{kind: {p}}) {
				if !isPublic(deny.Principal) {
					return false
				}
			} else if !slices.ContainsFunc(deny.Principal[kind], func(pattern string) bool { return glob(pattern, p) && !isPublic(Principal{kind: {pattern}}) }) {
				return false
			}
		}
	}
	return true
}

// isPublic says whether a principal is anyone, in one of the ways that COS has had.
func isPublic(p Principal) bool {
	return p["*"] != nil || slices.ContainsFunc(p["qcs"], func(name string) bool {
		return name == "*" || strings.HasPrefix(name, "qcs::cam::anyone:") || strings.HasPrefix(name, "qcs::cam::anonymous:") || strings.HasPrefix(name, "qcs::cam::*")
	})
}

// globAction matches an action with a pattern, with the name/ that both may lack.
func globAction(pattern, action string) bool {
	return glob(strings.TrimPrefix(pattern, "name/"), strings.TrimPrefix(action, "name/"))
}
