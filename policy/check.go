package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Weakness is a property of policies that lets a tenant access the objects of another tenant, or
// that takes control away from the operator.
type Weakness struct {
	ID      string // stable: never renamed
	Meaning string // one line
	Fix     string // what the operator should do
}

// A Finding is a weakness of a document.
type Finding struct {
	File      string `json:"file"`
	Document  string `json:"document,omitempty"` // distinguishes documents of the same file and part
	Part      Part   `json:"part"`
	Tenant    string `json:"tenant,omitempty"`
	Statement *int   `json:"statement,omitempty"` // its index; nil: the document as a whole
	Sid       string `json:"sid,omitempty"`
	Weakness  string `json:"hole"`    // its id
	Message   string `json:"message"` // what the weakness allows
	Fix       string `json:"fix"`
	LowerCase bool   `json:"-"` // the language writes names in lower case
}

// Where returns the part and the statement, as in "role_policy Statement[1] (OwnList)".
func (f Finding) Where() string {
	where := string(f.Part)
	if f.Document != "" {
		where = f.Document + " " + where
	}
	if f.Tenant != "" {
		where = f.Tenant + " " + where
	}
	if f.Statement != nil {
		where += fmt.Sprintf(" %s[%d]", (&Syntax{LowerCase: f.LowerCase}).spell("Statement"), *f.Statement)
	}
	if f.Sid != "" {
		where += " (" + f.Sid + ")"
	}
	return where
}

// Rules contains the checks of a dialect. Document and Every may be nil.
type Rules struct {
	Weaknesses []Weakness
	Document   func()          // once for each document
	Every      func(Statement) // for each statement
	Allow      func(Statement) // for each statement that allows
	Trust      func(Statement) // after Allow, if the statement is in a trust policy
	Access     func(Statement) // after Allow, if the statement is in a role or bucket policy
}

// A Checker collects the findings of a dialect's rules.
type Checker[L Language] struct {
	Doc     Document[L]       // the document that is being checked
	Nth     int               // its index
	Reached map[string]string // the first tenant whose prefix a statement allows, for each role or principal

	at         int // index of the statement; -1: the document as a whole
	weaknesses map[string]Weakness
	seen       map[place]bool
	found      []Finding
}

// A place identifies a finding, so that it is reported once.
type place struct {
	document  int
	statement int
	id        string
	message   string
}

// Run applies the rules to the documents and returns the findings, in the order of the
// documents and their statements.
func (c *Checker[L]) Run(docs []Document[L], rules Rules) []Finding {
	c.weaknesses, c.seen, c.Reached = make(map[string]Weakness), make(map[place]bool), make(map[string]string)
	for _, w := range rules.Weaknesses {
		c.weaknesses[w.ID] = w
	}
	allow := syntaxOf[L]().spell("Allow")
	for n, d := range docs {
		c.Doc, c.Nth, c.at = d, n, -1
		if rules.Document != nil {
			rules.Document()
		}
		for i, s := range d.Policy.Statement {
			c.at = i
			if rules.Every != nil {
				rules.Every(s)
			}
			if s.Effect != allow {
				continue
			}
			rules.Allow(s)
			if d.Part == TrustPolicy {
				rules.Trust(s)
			} else {
				rules.Access(s)
			}
		}
	}
	return c.found
}

// Report adds a finding about the current statement or document, unless it was already reported. If
// format is empty, the message of the finding is only the Meaning of the weakness.
func (c *Checker[L]) Report(id, format string, args ...any) {
	w := c.weaknesses[id]
	f := Finding{
		File: c.Doc.File, Document: c.Doc.Origin.label, Part: c.Doc.Part, Tenant: c.Doc.Tenant,
		Weakness: id, Message: w.Meaning, Fix: w.Fix, LowerCase: syntaxOf[L]().LowerCase,
	}
	if format != "" {
		f.Message += ": " + fmt.Sprintf(format, args...)
	}
	if c.at >= 0 {
		at := c.at
		f.Statement, f.Sid = &at, c.Doc.Policy.Statement[at].Sid
	}
	p := place{c.Nth, c.at, id, f.Message}
	if !c.seen[p] {
		c.seen[p] = true
		c.found = append(c.found, f)
	}
}

// Narrow checks conditions that must all be true for a request. judge returns the weakness of a
// value and its details, or "" if the value is valid. One condition that has only valid values
// limits the requests enough. If there is such a condition, Narrow reports nothing. Otherwise it
// reports the first invalid value of the last condition.
func (c *Checker[L]) Narrow(conditions []Condition, judge func(c Condition, value string) (id, details string)) {
	var id, details string
	for _, cond := range conditions {
		bad := slices.ContainsFunc(cond.Values, func(v string) bool {
			i, d := judge(cond, v)
			if i != "" {
				id, details = i, d
			}
			return i != ""
		})
		if !bad {
			return
		}
	}
	if id != "" {
		c.Report(id, "%s", details)
	}
}

// Roles returns one text for each document. The text identifies the role of the document. The text
// of a bucket policy is empty. The text is the [ShortName] of the document's owner, or the tenant
// if the owner is not known. If neither is known, but all other documents have the same role, the
// document has that role, too. Otherwise its text is unique.
func Roles[L Language](docs []Document[L]) []string {
	roles := make([]string, len(docs))
	known, trusts := make(map[string]bool), 0
	for i, d := range docs {
		switch {
		case d.Part == BucketPolicy:
		case d.Origin.Owner != "":
			roles[i] = ShortName(d.Origin.Owner)
			known[roles[i]] = true
		case d.Tenant != "":
			roles[i] = "tenant " + d.Tenant
			known[roles[i]] = true
		case d.Part == TrustPolicy:
			trusts++
		}
	}
	only := ""
	if len(known) <= 1 && trusts <= 1 {
		only = "the role of the policies that name no role"
		for role := range known {
			only = role
		}
	}
	for i, d := range docs {
		if roles[i] != "" || d.Part == BucketPolicy {
			continue
		}
		if roles[i] = only; only == "" {
			roles[i] = fmt.Sprintf("the role of %s", d.File)
			if d.Origin.label != "" {
				roles[i] += " " + d.Origin.label
			}
			for slices.Contains(roles[:i], roles[i]) {
				roles[i] += ", another document"
			}
		}
	}
	return roles
}

// NamesTenant reports whether the name of a role contains the tenant, like ROLE-TENANT.
func NamesTenant(role, tenant string) bool {
	_, name, _ := strings.Cut(role, "/")
	letter := func(s string, i int) bool {
		return i >= 0 && i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z')
	}
	for from := 0; ; {
		i := strings.Index(name[from:], tenant)
		if i < 0 {
			break
		}
		start, end := from+i, from+i+len(tenant)
		if !letter(name, start-1) && !letter(name, end) {
			return true
		}
		from = start + 1
	}
	short := RoleName("", tenant, 0) // the form for a tenant whose id
	return strings.HasSuffix(name, short)
}

// TenantNamed returns the tenant in the name of a role. If several match, it returns the longest.
func TenantNamed(role string, tenants []string) string {
	tenant := ""
	for _, t := range tenants {
		if len(t) > len(tenant) && NamesTenant(role, t) {
			tenant = t
		}
	}
	return tenant
}

// OwnerProblem returns "" if a role or user is known to belong to the tenant. Otherwise it returns
// the reason why this is not certain. reached contains the tenants that the role's own documents
// allow: the role may access the objects of these tenants. tenants contains all tenants in any
// document.
func OwnerProblem(role, tenant string, reached, tenants []string) string {
	other := TenantNamed(role, tenants)
	switch {
	case slices.Contains(reached, tenant):
		return ""
	case len(reached) > 0:
		return fmt.Sprintf("%s, which is the role of %s, can access %s", role, strings.Join(reached, " and "), tenant)
	case NamesTenant(role, tenant) && (other == tenant || other == ""):
		return ""
	case other != "":
		return fmt.Sprintf("%s, which is the role of %s according to its name, can access %s", role, other, tenant)
	}
	return fmt.Sprintf("%s can access %s, but no policy shows that it is the role of this tenant", role, tenant)
}

// A Trusted describes the tokens that a statement of a trust policy accepts.
type Trusted struct {
	Role     string              // the role of the policy, or its tenant
	Issuers  []string            // empty: any
	Subjects []string            // empty: any
	Tags     map[string][]string // values of tags that tokens need, by key
}

// Shared searches others for the first Trusted of another role that accepts a token that t also
// accepts. It returns the subject or the tag of that token, and the role. If there is none, it
// returns empty strings. It compares subjects with subjects and tags with tags. It does not combine
// the subject of one role with the tag of another, because such a token is not known to exist.
func (t Trusted) Shared(others []Trusted) (value, role string) {
	for _, o := range others {
		if o.Role == t.Role || len(t.Issuers) > 0 && len(o.Issuers) > 0 && common(t.Issuers, o.Issuers) == "" {
			continue
		}
		value, disjoint := common(t.Subjects, o.Subjects), false
		if value == "" && (len(t.Subjects) > 0 || len(o.Subjects) > 0) {
			continue
		}
		for key, values := range t.Tags {
			if o.Tags[key] == nil {
				continue
			}
			tag := common(values, o.Tags[key])
			disjoint = disjoint || tag == ""
			if value == "" {
				value = tag
			}
		}
		if value != "" && !disjoint {
			return value, o.Role
		}
	}
	return "", ""
}

// common returns the first text that is in both lists, or "".
func common(a, b []string) string {
	for _, text := range a {
		if slices.Contains(b, text) {
			return text
		}
	}
	return ""
}
