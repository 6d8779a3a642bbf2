package policy

import (
	"fmt"
	"slices"
)

// A Weakness is a property of policies that lets a tenant reach the objects of another
// tenant, or that takes control from the operator.
type Weakness struct {
	ID      string // is never renamed
	Meaning string // one line
	Fix     string // what the operator should do
}

// A Finding is a weakness of a document.
type Finding struct {
	File      string `json:"file"`
	Part      Part   `json:"part"`
	Tenant    string `json:"tenant,omitempty"`
	Statement *int   `json:"statement,omitempty"` // its index; nil: the document as a whole
	Sid       string `json:"sid,omitempty"`
	Weakness  string `json:"hole"`    // its id
	Message   string `json:"message"` // what it allows
	Fix       string `json:"fix"`
	LowerCase bool   `json:"-"` // the language writes names in lower case
}

// Where returns the part and the statement, as in "role_policy Statement[1] (OwnList)".
func (f Finding) Where() string {
	where := string(f.Part)
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

// Rules are what a dialect checks. Document and Every may be nil.
type Rules struct {
	Weaknesses []Weakness
	Document   func()          // once for each document
	Every      func(Statement) // for each statement
	Allow      func(Statement) // for each statement that allows
	Trust      func(Statement) // then for those of trust policies
	Access     func(Statement) // then for those of role and bucket policies
}

// A Checker collects the findings of a dialect's rules.
type Checker[L Language] struct {
	Doc     Document[L]       // the document that is being checked
	Reached map[string]string // principal of the document → the tenant whose prefix it was allowed

	at         int // index of the statement; -1: the document as a whole
	weaknesses map[string]Weakness
	seen       map[place]bool
	found      []Finding
}

// A place identifies a finding, so that it is reported once.
type place struct {
	file      string
	part      Part
	tenant    string
	statement int
	id        string
	message   string
}

// Run applies the rules to the documents and returns the findings, in the order of the
// documents and their statements.
func (c *Checker[L]) Run(docs []Document[L], rules Rules) []Finding {
	c.weaknesses, c.seen = make(map[string]Weakness), make(map[place]bool)
	for _, w := range rules.Weaknesses {
		c.weaknesses[w.ID] = w
	}
	allow := syntaxOf[L]().spell("Allow")
	for _, d := range docs {
		c.Doc, c.Reached, c.at = d, make(map[string]string), -1
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

// Report adds a finding about the current statement, or document, unless it was reported
// already. An empty format adds no details to the meaning of the weakness.
func (c *Checker[L]) Report(id, format string, args ...any) {
	w := c.weaknesses[id]
	f := Finding{
		File: c.Doc.File, Part: c.Doc.Part, Tenant: c.Doc.Tenant,
		Weakness: id, Message: w.Meaning, Fix: w.Fix, LowerCase: syntaxOf[L]().LowerCase,
	}
	if format != "" {
		f.Message += ": " + fmt.Sprintf(format, args...)
	}
	if c.at >= 0 {
		at := c.at
		f.Statement, f.Sid = &at, c.Doc.Policy.Statement[at].Sid
	}
	p := place{f.File, f.Part, f.Tenant, c.at, id, f.Message}
	if !c.seen[p] {
		c.seen[p] = true
		c.found = append(c.found, f)
	}
}

// Narrow checks conditions that must all hold, so that one whose values are all good is
// enough. Judge returns the weakness of a value and details of it, or "". If every condition
// has a bad value, Narrow reports the first bad value of the last condition.
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
