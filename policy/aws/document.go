package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A Policy is a document in the policy language of IAM, in the order in which it was
// read or is printed.
type Policy struct {
	Version   string      `json:",omitempty"`
	ID        string      `json:"Id,omitempty"`
	Statement []Statement // never empty in what this package makes
}

// A Statement allows or denies. Lists that were written as one string have one element.
type Statement struct {
	Sid          string
	Effect       string // Allow or Deny
	Principal    Principal
	NotPrincipal Principal
	Action       []string
	NotAction    []string
	Resource     []string
	NotResource  []string
	Condition    Conditions
}

// A Principal has lists of ARNs or names by their kind, such as AWS or Federated. What
// is written as "*" is [Everybody].
type Principal map[string][]string

// Everybody is the principal "*".
func Everybody() Principal { return Principal{"*": {"*"}} }

// Conditions has values by operator and key.
type Conditions map[string]map[string][]string

// MarshalJSON writes a single value as a string, as people do.
func (c Conditions) MarshalJSON() ([]byte, error) {
	all := make(map[string]map[string]any)
	for op, keys := range c {
		all[op] = make(map[string]any)
		for key, values := range keys {
			all[op][key] = values
			if len(values) == 1 {
				all[op][key] = values[0]
			}
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(all)
	return b.Bytes(), err
}

// MarshalJSON writes "*", or lists by kind.
func (p Principal) MarshalJSON() ([]byte, error) {
	if _, all := p["*"]; all {
		return []byte(`"*"`), nil
	}
	return json.Marshal(map[string][]string(p))
}

// MarshalJSON writes the elements that are there, in the order of the manuals.
func (s Statement) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Sid          string     `json:",omitempty"`
		Effect       string     `json:",omitempty"`
		Principal    Principal  `json:",omitempty"`
		NotPrincipal Principal  `json:",omitempty"`
		Action       []string   `json:",omitempty"`
		NotAction    []string   `json:",omitempty"`
		Resource     []string   `json:",omitempty"`
		NotResource  []string   `json:",omitempty"`
		Condition    Conditions `json:",omitempty"`
	}(s))
}

// String is the document on one line without spaces, as RGW wants it.
func (p *Policy) String() string {
	if p == nil {
		return ""
	}
	return string(policy.Compact(p))
}

func (p *Policy) size() int { return len(p.String()) }

// newPolicy is nil where nothing is to be said.
func newPolicy(statements []Statement) *Policy {
	if len(statements) == 0 {
		return nil
	}
	return &Policy{Version: "2012-10-17", Statement: statements}
}

// with returns a copy of c that holds one condition more, unless op is empty.
func (c Conditions) with(op, key, value string) Conditions {
	all := make(Conditions)
	for o, keys := range c {
		all[o] = make(map[string][]string)
		for k, values := range keys {
			all[o][k] = slices.Clone(values)
		}
	}
	if op != "" {
		if all[op] == nil {
			all[op] = make(map[string][]string)
		}
		all[op][key] = append(all[op][key], value)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// JSON is one object that holds every part. For RGW each part is on a line without
// spaces: it takes a form body's + for a plus.
func (d *Documents) JSON() []byte {
	var b bytes.Buffer
	line := policy.Compact(d)
	if d.o.Dialect != RGW {
		_ = json.Indent(&b, line, "", "  ") // line is JSON
		b.WriteByte('\n')
		return b.Bytes()
	}
	parts, err := policy.Parse(line)
	if err != nil {
		panic("policy: " + err.Error())
	}
	for i, part := range parts.Object {
		name := policy.Compact(part.Key)
		fmt.Fprintf(&b, "%s\n  %s: %s", []string{"{", ","}[min(i, 1)], name, line[part.Value.Start:part.Value.End])
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}

// Missing is what p has and other, which may be nil, does not say in other words: the
// order, one string or a list, case of actions, and Sids make no difference. Sids that
// other has are changed. The result may have no statement.
func (p *Policy) Missing(other *Policy) *Policy {
	rest := &Policy{Version: p.Version, Statement: []Statement{}}
	have, sids := make(map[string]bool), make(map[string]bool)
	if other != nil {
		for _, s := range other.Statement {
			have[s.meaning()] = true
			sids[s.Sid] = true
		}
	}
	for _, s := range p.Statement {
		if have[s.meaning()] {
			continue
		}
		sid := s.Sid
		for n := 2; sids[s.Sid]; n++ {
			s.Sid = fmt.Sprintf("%sV%d", sid, n)
		}
		sids[s.Sid] = true
		rest.Statement = append(rest.Statement, s)
	}
	return rest
}

// meaning is equal for statements that say the same.
func (s Statement) meaning() string {
	sorted := func(list []string, fold bool) []string {
		list = slices.Clone(list)
		for i := range list {
			if fold {
				list[i] = strings.ToLower(list[i])
			}
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	principal := func(p Principal) Principal {
		if slices.Contains(p["AWS"], "*") && len(p) == 1 {
			return Everybody()
		}
		if p == nil {
			return nil
		}
		q := make(Principal)
		for kind, list := range p {
			q[kind] = sorted(list, false)
		}
		return q
	}
	s.Sid = ""
	s.Principal, s.NotPrincipal = principal(s.Principal), principal(s.NotPrincipal)
	s.Action, s.NotAction = sorted(s.Action, true), sorted(s.NotAction, true)
	s.Resource, s.NotResource = sorted(s.Resource, false), sorted(s.NotResource, false)
	c := make(Conditions)
	for op, keys := range s.Condition {
		c[op] = make(map[string][]string)
		for key, values := range keys {
			// The values of these are truth values, in any case.
			c[op][strings.ToLower(key)] = sorted(values, op == "Bool" || op == "Null")
		}
	}
	s.Condition = c
	return string(policy.Compact(s))
}
