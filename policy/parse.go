package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Parse returns the policies in data: a policy on its own, a response of the cloud, or
// generated documents. A policy inside another document may be an object or a string, which
// may be URL-encoded. The name of the file is for messages. Errors wrap [ErrDocument].
func Parse[L Language](file string, data []byte) ([]Document[L], error) {
	docs, err := (&reader[L]{Syntax: syntaxOf[L]()}).read(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	for i := range docs {
		docs[i].File = file
	}
	return docs, nil
}

type reader[L Language] struct {
	*Syntax
	docs []Document[L]
}

func (r *reader[L]) read(data []byte) ([]Document[L], error) {
	v, err := ParseValue(data)
	if err != nil {
		return nil, err
	}
	if inner := v.Get(r.Envelope); inner != nil && r.Envelope != "" {
		v = inner
	}
	if v.Kind != '{' {
		return nil, errors.New("it is not an object")
	}
	if slices.ContainsFunc(v.Object, func(m Member) bool { return r.spell(m.Key) == r.spell("Statement") }) {
		err := r.policy("", "", v)
		return r.docs, err
	}
	parts := []string{string(TrustPolicy), string(RolePolicy), string(BucketPolicy)}
	holder := slices.IndexFunc(r.Holders, func(h Holder) bool { return v.Get(h.Name) != nil })
	if holder < 0 {
		err := r.generated(v, parts)
		return r.docs, err
	}
	h := r.Holders[holder]
	// What is beside the policy of a response would not be read.
	others := slices.Concat(parts, []string{"tenants"})
	for _, other := range r.Holders[holder+1:] {
		others = append(others, other.Name)
	}
	for _, other := range others {
		if v.Get(other) != nil {
			return nil, fmt.Errorf("line %d: it holds both %s and %s: give each policy alone", v.Line, h.Name, other)
		}
	}
	inner := v.Get(h.Name)
	if h.Inner != "" {
		inner = inner.Get(h.Inner)
	}
	if inner == nil {
		return nil, fmt.Errorf("it has no %s", h.Inner)
	}
	err = r.inner(h.Part, "", inner)
	return r.docs, err
}

// generated reads the documents that a dialect generates.
func (r *reader[L]) generated(v *Value, parts []string) error {
	read := func(m Member, tenant string) error {
		switch {
		case slices.Contains(parts, m.Key):
			if err := r.inner(Part(m.Key), tenant, m.Value); err != nil {
				return fmt.Errorf("%s: %w", m.Key, err)
			}
			return nil
		case slices.Contains(r.Known, m.Key):
			return nil
		}
		return fmt.Errorf("line %d: %s is no part of a policy", m.Value.Line, Quote(m.Key))
	}
	for _, m := range v.Object {
		if m.Key != "tenants" || m.Value.Kind != '{' {
			if err := read(m, ""); err != nil {
				return err
			}
			continue
		}
		for _, tenant := range m.Value.Object {
			if tenant.Value.Kind != '{' {
				return fmt.Errorf("line %d: tenant %s is not an object", tenant.Value.Line, Quote(tenant.Key))
			}
			for _, part := range tenant.Value.Object {
				if err := read(part, tenant.Key); err != nil {
					return fmt.Errorf("tenant %s: %w", Quote(tenant.Key), err)
				}
			}
		}
	}
	if len(r.docs) == 0 {
		return errors.New("it holds no policy")
	}
	return nil
}

// inner reads a policy inside another document.
func (r *reader[L]) inner(part Part, tenant string, v *Value) error {
	if v.Kind == '"' {
		text, err := Unescape(v.Text)
		if err != nil {
			return fmt.Errorf("line %d: the policy is not URL-encoded: %w", v.Line, err)
		}
		inner, err := ParseValue([]byte(text))
		if err != nil {
			return fmt.Errorf("the policy in the string of line %d: %w", v.Line, err)
		}
		v = inner
	}
	return r.policy(part, tenant, v)
}

// policy reads a policy. If part is empty, the statements show which part it is.
func (r *reader[L]) policy(part Part, tenant string, v *Value) error {
	p := &Policy[L]{}
	if v.Kind != '{' {
		return fmt.Errorf("line %d: the policy is not an object", v.Line)
	}
	err := r.members(v, "the policy", r.among(policyElements), func(name string, m Member) (err error) {
		switch {
		case name == "Version":
			if p.Version, err = m.OneText(); err == nil && !slices.Contains(r.Versions, p.Version) {
				err = fmt.Errorf("line %d: there is no %s %s", m.Value.Line, r.spell(name), Quote(p.Version))
			}
		case name == "Id" && !r.LowerCase:
			p.ID, err = m.OneText()
		case name == "Statement":
			p.Statement, err = r.statements(m)
		default:
			err = fmt.Errorf("line %d: a policy has no %s", m.Value.Line, Quote(m.Key))
		}
		return err
	})
	if err == nil && len(p.Statement) == 0 {
		err = fmt.Errorf("line %d: the policy has no %s", v.Line, r.spell("Statement"))
	}
	if err != nil {
		return err
	}
	if part == "" {
		part = r.partOf(p.Statement)
	}
	for i, s := range p.Statement {
		principal, resource := s.Principal != nil || s.NotPrincipal != nil, s.Resource != nil || s.NotResource != nil
		at := fmt.Sprintf("%s[%d]", r.spell("Statement"), i)
		switch {
		case part == RolePolicy && principal:
			return fmt.Errorf("there is a %s in %s, which a role's own policy never has", r.spell("Principal"), at)
		case part != RolePolicy && !principal:
			return fmt.Errorf("there is no %s in %s", r.spell("Principal"), at)
		case part == TrustPolicy && resource:
			return fmt.Errorf("there is a %s in %s, which a trust policy never has", r.spell("Resource"), at)
		case part != TrustPolicy && !resource:
			return fmt.Errorf("there is no %s in %s", r.spell("Resource"), at)
		}
	}
	r.docs = append(r.docs, Document[L]{Part: part, Tenant: tenant, Policy: p})
	return nil
}

// partOf returns the part that has such statements.
func (l *Syntax) partOf(statements []Statement) Part {
	principals, assumes := false, false
	for _, s := range statements {
		principals = principals || s.Principal != nil || s.NotPrincipal != nil
		assumes = assumes || s.Principal[l.spell("Federated")] != nil || slices.ContainsFunc(slices.Concat(s.Action, s.NotAction), l.Assumes)
	}
	switch {
	case !principals:
		return RolePolicy
	case assumes:
		return TrustPolicy
	}
	return BucketPolicy
}

// among returns a function that returns the name of names for which a key stands, or "".
func (l *Syntax) among(names []string) func(key string) string {
	return func(key string) string {
		if name, ok := l.Aliases[l.spell(key)]; ok {
			key = name
		}
		if i := slices.IndexFunc(names, func(name string) bool { return l.spell(name) == l.spell(key) }); i >= 0 {
			return names[i]
		}
		return ""
	}
}

// members calls f for each member of the object v, which messages call what. Two members
// whose keys have the same name are rejected, because a cloud may use the other one.
func (l *Syntax) members(v *Value, what string, nameOf func(key string) string, f func(name string, m Member) error) error {
	if v.Kind != '{' {
		return fmt.Errorf("line %d: %s is not an object", v.Line, what)
	}
	seen := make(map[string]bool)
	for _, m := range v.Object {
		name := nameOf(m.Key)
		if name != "" && seen[name] {
			return fmt.Errorf("line %d: %s is there twice", m.Value.Line, Quote(m.Key))
		}
		seen[name] = true
		if err := f(name, m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Syntax) statements(m Member) ([]Statement, error) {
	list := m.Value.Array
	if m.Value.Kind == '{' {
		list = []*Value{m.Value}
	}
	var all []Statement
	for i, v := range list {
		s, err := l.statement(v)
		if err != nil {
			return nil, fmt.Errorf("in %s[%d]: %w", l.spell("Statement"), i, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (l *Syntax) statement(v *Value) (Statement, error) {
	var s Statement
	allow, deny := l.spell("Allow"), l.spell("Deny")
	elements := s.elements()
	err := l.members(v, "it", l.among(statementElements), func(name string, m Member) (err error) {
		if name == "" {
			return fmt.Errorf("line %d: a statement has no %s", m.Value.Line, Quote(m.Key))
		}
		switch element := elements[slices.Index(statementElements, name)].(type) {
		case *string:
			*element, err = m.OneText()
		case *[]string:
			*element, err = m.Texts(false)
		case *Principal:
			*element, err = l.principal(m)
		case *Conditions:
			*element, err = l.conditions(m)
		}
		if s.Effect = l.spell(s.Effect); name == "Effect" && err == nil && s.Effect != allow && s.Effect != deny {
			err = fmt.Errorf("line %d: %s is %s or %s, not %s", m.Value.Line, l.spell(name), allow, deny, Quote(s.Effect))
		}
		return err
	})
	both := func(name string) error {
		return fmt.Errorf("line %d: it has both %s and %s", v.Line, l.spell(name), l.spell("Not"+name))
	}
	switch {
	case err != nil:
		return s, err
	case s.Effect == "":
		return s, fmt.Errorf("line %d: it has no %s", v.Line, l.spell("Effect"))
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: it needs either %s or %s", v.Line, l.spell("Action"), l.spell("NotAction"))
	case s.Resource != nil && s.NotResource != nil:
		return s, both("Resource")
	case s.Principal != nil && s.NotPrincipal != nil:
		return s, both("Principal")
	}
	return s, nil
}

func (l *Syntax) principal(m Member) (Principal, error) {
	if m.Value.Kind == '"' && m.Value.Text == "*" {
		return Everybody(), nil
	}
	if len(m.Value.Object) == 0 {
		return nil, fmt.Errorf("line %d: %s is \"*\", or an object with %s", m.Value.Line, m.Key, oneOf(l.Kinds))
	}
	p := make(Principal)
	err := l.members(m.Value, m.Key, l.among(l.Kinds), func(name string, kind Member) (err error) {
		if name == "" {
			return fmt.Errorf("line %d: there is no principal of kind %s", kind.Value.Line, Quote(kind.Key))
		}
		p[name], err = kind.Texts(false)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (l *Syntax) conditions(m Member) (Conditions, error) {
	c := make(Conditions)
	err := l.members(m.Value, m.Key, l.spell, func(operator string, op Member) error {
		if !l.isOperator(operator) {
			return fmt.Errorf("line %d: there is no operator %s", op.Value.Line, Quote(op.Key))
		}
		keys := make(map[string][]string)
		// The case of a condition key makes no difference in any language.
		err := l.members(op.Value, op.Key, strings.ToLower, func(name string, key Member) (err error) {
			if name == "" {
				return fmt.Errorf("line %d: a condition without a key", key.Value.Line)
			}
			keys[key.Key], err = key.Texts(true)
			return err
		})
		if len(keys) > 0 {
			c[operator] = keys
		}
		return err
	})
	if err != nil || len(c) == 0 {
		return nil, err
	}
	return c, nil
}

// oneOf joins alternatives.
func oneOf(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}
