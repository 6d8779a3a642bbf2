package aws

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// newPolicy returns a policy, or nil if there are no statements.
func newPolicy(statements []Statement) *Policy {
	if len(statements) == 0 {
		return nil
	}
	return &Policy{Version: "2012-10-17", Statement: statements}
}

// with returns a copy of c with an additional condition, unless op is empty.
func with(c policy.Conditions, op, key, value string) policy.Conditions {
	all := make(policy.Conditions)
	for o, keys := range c {
		all[o] = maps.Clone(keys)
	}
	if op != "" {
		if all[op] == nil {
			all[op] = make(map[string][]string)
		}
		all[op][key] = append(slices.Clone(all[op][key]), value)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// JSON returns one object that contains every part. For an RGW, each part is one line without
// spaces, because an RGW does not decode the + in a form body as a space.
func (d *Documents) JSON() []byte {
	if d.o.Dialect != RGW {
		return policy.Indented(d)
	}
	line := policy.Compact(d)
	parts, err := policy.ParseValue(line)
	if err != nil {
		panic("aws: " + err.Error())
	}
	var b bytes.Buffer
	for i, part := range parts.Object {
		name := policy.Compact(part.Key)
		fmt.Fprintf(&b, "%s\n  %s: %s", []string{"{", ","}[min(i, 1)], name, line[part.Value.Start:part.Value.End])
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}

// Missing returns the statements of p that are not in other, which may be nil. Two statements are
// equal if they differ only in the order of lists, in Sid, in the case of actions, or in writing a
// list with one element as a string. If a Sid also occurs in the policy other, Missing renames it.
// The result may have no statements.
func Missing(p, other *Policy) *Policy {
	rest := &Policy{Version: p.Version, Statement: []Statement{}}
	existing, sids := make(map[string]bool), make(map[string]bool)
	if other != nil {
		for _, s := range other.Statement {
			existing[meaning(s)] = true
			sids[s.Sid] = true
		}
	}
	for _, s := range p.Statement {
		if existing[meaning(s)] {
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

// meaning returns a text that is the same for statements with the same meaning.
func meaning(s Statement) string {
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
	principal := func(p policy.Principal) policy.Principal {
		if slices.Contains(p["AWS"], "*") && len(p) == 1 {
			return policy.AnyPrincipal()
		}
		if p == nil {
			return nil
		}
		q := make(policy.Principal)
		for kind, list := range p {
			q[kind] = sorted(list, false)
		}
		return q
	}
	s.Sid = ""
	s.Principal, s.NotPrincipal = principal(s.Principal), principal(s.NotPrincipal)
	s.Action, s.NotAction = sorted(s.Action, true), sorted(s.NotAction, true)
	s.Resource, s.NotResource = sorted(s.Resource, false), sorted(s.NotResource, false)
	c := make(policy.Conditions)
	for op, keys := range s.Condition {
		c[op] = make(map[string][]string)
		for key, values := range keys {
			// The values of Bool and Null may be written in upper or lower case.
			c[op][strings.ToLower(key)] = sorted(values, op == "Bool" || op == "Null")
		}
	}
	s.Condition = c
	return string(policy.Compact(s))
}
