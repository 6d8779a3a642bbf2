package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Parse returns the policies in data. The data contains one or more policies, responses of the
// cloud, generated documents, or lists of these. Each value, and each policy inside another
// document, may be encoded as a JSON string, which may be URL-encoded. The name of the file is used
// in messages. Errors wrap [ErrDocument].
func Parse[L Language](file string, data []byte) ([]Document[L], error) {
	r := &reader[L]{Syntax: syntaxOf[L]()}
	if err := r.read(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	for i := range r.docs {
		r.docs[i].File = file
	}
	label(r.docs)
	return r.docs, nil
}

// label labels documents of the same file and part, to distinguish them.
func label[L Language](docs []Document[L]) {
	count := make(map[Part]int)
	for _, d := range docs {
		if d.Tenant == "" {
			count[d.Part]++
		}
	}
	seen := make(map[Part]int)
	for i := range docs {
		d := &docs[i]
		if d.Tenant != "" || count[d.Part] < 2 {
			continue
		}
		seen[d.Part]++
		d.Origin.label = strings.TrimSpace(ShortName(d.Origin.Owner) + " " + d.Origin.Name)
		if d.Origin.label == "" {
			d.Origin.label = fmt.Sprintf("number %d", seen[d.Part])
		}
	}
}

// A Source is a policy inside a response of the cloud.
type Source struct {
	Part   Part // empty: it is determined from the policy
	Origin Origin
	Policy *Value // nil: the response contains only the name of the policy
	tenant string
}

type reader[L Language] struct {
	*Syntax
	docs    []Document[L]
	account []*Value // pages of a response about an account, or objects of one
}

func (r *reader[L]) read(data []byte) error {
	values, err := ParseValues(data)
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := r.value(v, 0); err != nil {
			return err
		}
	}
	if len(r.account) > 0 {
		sources, err := r.Account(r.account)
		if err != nil {
			return err
		}
		for _, s := range sources {
			if err := r.inner(s); err != nil {
				return err
			}
		}
	}
	if len(r.docs) == 0 {
		return ErrNoPolicy
	}
	return nil
}

// maxStrings is the maximum number of nested strings around a document.
const maxStrings = 3

// value reads a document, or a list or a string of documents.
func (r *reader[L]) value(v *Value, depth int) error {
	switch v.Kind {
	case '{':
		return r.object(v)
	case '[':
		if len(v.Array) == 0 {
			return errors.New("expected an object with a policy, found an empty list")
		}
		for _, element := range v.Array {
			if err := r.value(element, depth); err != nil {
				return err
			}
		}
		return nil
	case '"':
		if depth >= maxStrings {
			return fmt.Errorf("line %d: expected an object, found too many nested JSON strings", v.Line)
		}
		values, err := stringValues(v)
		if err != nil {
			return fmt.Errorf("expected an object: %w", err)
		}
		for _, element := range values {
			if err := r.value(element, depth+1); err != nil {
				return fmt.Errorf("in the string of line %d: %w", v.Line, err)
			}
		}
		return nil
	}
	return fmt.Errorf("line %d: expected an object", v.Line)
}

// stringValues parses a string that contains JSON, which may be URL-encoded.
func stringValues(v *Value) ([]*Value, error) {
	text, err := Unescape(v.Text)
	if err != nil {
		return nil, fmt.Errorf("line %d: the policy is not URL-encoded: %w", v.Line, err)
	}
	values, err := ParseValues([]byte(text))
	if err != nil && strings.Contains(text, "+") && text != v.Text {
		// Some encoders write a space as +. In JSON, a plus occurs only inside strings.
		if form, formErr := url.QueryUnescape(v.Text); formErr == nil {
			if values, formErr := ParseValues([]byte(form)); formErr == nil {
				return values, nil
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the policy in the string of line %d: %w", v.Line, err)
	}
	return values, nil
}

// object reads a policy, a response of the cloud, or generated documents.
func (r *reader[L]) object(v *Value) error {
	if inner := v.Get(r.Envelope); inner != nil && r.Envelope != "" {
		if inner.Kind != '{' {
			return fmt.Errorf("line %d: expected an object", inner.Line)
		}
		v = inner
	}
	if slices.ContainsFunc(v.Object, func(m Member) bool { return r.spell(m.Key) == r.spell("Statement") }) {
		return r.policy(Source{Policy: v})
	}
	parts := []string{string(TrustPolicy), string(RolePolicy), string(BucketPolicy)}
	// Other members next to the policy of a response would be ignored.
	alone := func(name string, others []string) error {
		for _, other := range others {
			if v.Get(other) != nil {
				return fmt.Errorf("line %d: the object contains both %s and %s: pass each policy separately", v.Line, name, other)
			}
		}
		return nil
	}
	others := slices.Concat(parts, []string{"tenants"})
	if r.IsAccount != nil && r.IsAccount(v) {
		r.account = append(r.account, v)
		return alone("details of an account", others)
	}
	for _, list := range r.Lists {
		if l := v.Get(list); l != nil && (l.Kind == '[' || l.Kind == '{') {
			if err := alone(list, others); err != nil {
				return err
			}
			if l.Kind == '[' && len(l.Array) == 0 {
				return nil
			}
			return r.value(l, 0)
		}
	}
	holder := slices.IndexFunc(r.Holders, func(h Holder) bool { return v.Get(h.Name) != nil })
	if holder < 0 {
		return r.generated(v, parts)
	}
	h := r.Holders[holder]
	for _, other := range r.Holders[holder+1:] {
		others = append(others, other.Name)
	}
	if err := alone(h.Name, others); err != nil {
		return err
	}
	s := Source{Part: h.Part, Origin: r.origin(v), Policy: v.Get(h.Name)}
	if h.Inner != "" {
		s.Origin = r.origin(s.Policy)
		s.Policy = s.Policy.Get(h.Inner)
	}
	switch {
	case s.Policy == nil:
		return fmt.Errorf("the response contains no %s", h.Inner)
	case s.Policy.Get("DefaultVersionId") != nil:
		return fmt.Errorf("line %d: the response contains only the name of a policy: get the policy with aws iam get-policy-version", s.Policy.Line)
	}
	return r.inner(s)
}

// origin returns the owner of the policy in an object.
func (r *reader[L]) origin(v *Value) Origin {
	if r.OriginOf == nil {
		return Origin{}
	}
	return r.OriginOf(v)
}

// generated reads the documents that a dialect generates.
func (r *reader[L]) generated(v *Value, parts []string) error {
	found := false
	read := func(holder *Value, m Member, tenant string) error {
		switch {
		case slices.Contains(parts, m.Key):
			found = true
			owner := Origin{Owner: cmp.Or(holder.StringOf("role_arn"), prefixed("role/", holder.StringOf("role_name")))}
			if m.Key == string(BucketPolicy) {
				owner = Origin{}
			}
			if err := r.inner(Source{Part: Part(m.Key), tenant: tenant, Origin: owner, Policy: m.Value}); err != nil {
				return fmt.Errorf("%s: %w", m.Key, err)
			}
			return nil
		case slices.Contains(r.Known, m.Key):
			return nil
		}
		return fmt.Errorf("line %d: unknown member %s", m.Value.Line, Quote(m.Key))
	}
	for _, m := range v.Object {
		if m.Key != "tenants" || m.Value.Kind != '{' {
			if err := read(v, m, ""); err != nil {
				return err
			}
			continue
		}
		for _, tenant := range m.Value.Object {
			if tenant.Value.Kind != '{' {
				return fmt.Errorf("line %d: tenant %s is not an object", tenant.Value.Line, Quote(tenant.Key))
			}
			for _, part := range tenant.Value.Object {
				if err := read(tenant.Value, part, tenant.Key); err != nil {
					return fmt.Errorf("tenant %s: %w", Quote(tenant.Key), err)
				}
			}
		}
	}
	if !found {
		return ErrNoPolicy
	}
	return nil
}

// prefixed returns prefix and text, or "" if text is empty.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// inner reads a policy inside another document.
func (r *reader[L]) inner(s Source) error {
	if s.Policy == nil {
		r.docs = append(r.docs, Document[L]{Part: s.Part, Origin: s.Origin, Policy: &Policy[L]{}})
		return nil
	}
	for depth := 0; s.Policy.Kind == '"' && depth < maxStrings; depth++ {
		values, err := stringValues(s.Policy)
		if err != nil {
			return err
		}
		if len(values) != 1 {
			return fmt.Errorf("line %d: expected one policy in the string, found %d values", s.Policy.Line, len(values))
		}
		s.Policy = values[0]
	}
	return r.policy(s)
}

// policy reads a policy. If its part is not known, it is determined from the statements.
func (r *reader[L]) policy(s Source) error {
	p, part, v := &Policy[L]{}, s.Part, s.Policy
	if v.Kind != '{' {
		return fmt.Errorf("line %d: the policy is not an object", v.Line)
	}
	err := r.members(v, "the policy", r.among(policyElements), func(name string, m Member) (err error) {
		switch {
		case name == "Version":
			if p.Version, err = m.OneText(); err == nil && !slices.Contains(r.Versions, p.Version) {
				err = fmt.Errorf("line %d: unknown %s %s", m.Value.Line, r.spell(name), Quote(p.Version))
			}
		case name == "Id" && !r.LowerCase:
			p.ID, err = m.OneText()
		case name == "Statement":
			p.Statement, err = r.statements(m)
		default:
			err = fmt.Errorf("line %d: unknown element %s in a policy", m.Value.Line, Quote(m.Key))
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
			return fmt.Errorf("%s contains a %s, but a role policy must not contain one", at, r.spell("Principal"))
		case part != RolePolicy && !principal:
			return fmt.Errorf("%s contains no %s", at, r.spell("Principal"))
		case part == TrustPolicy && resource:
			return fmt.Errorf("%s contains a %s, but a trust policy must not contain one", at, r.spell("Resource"))
		case part != TrustPolicy && !resource:
			return fmt.Errorf("%s contains no %s", at, r.spell("Resource"))
		}
	}
	r.docs = append(r.docs, Document[L]{Part: part, Tenant: s.tenant, Origin: s.Origin, Policy: p})
	return nil
}

// partOf determines the part of a policy from its statements.
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

// among returns a function that maps a key to its name in names, or to "" if it is not in names.
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

// members calls f for each member of the object v. title is the name of v in messages. members
// rejects two members whose keys have the same name, because a cloud may use the other one.
func (l *Syntax) members(v *Value, title string, nameOf func(key string) string, f func(name string, m Member) error) error {
	if v.Kind != '{' {
		return fmt.Errorf("line %d: %s is not an object", v.Line, title)
	}
	seen := make(map[string]bool)
	for _, m := range v.Object {
		name := nameOf(m.Key)
		if name != "" && seen[name] {
			return fmt.Errorf("line %d: %s occurs twice", m.Value.Line, Quote(m.Key))
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
	err := l.members(v, "the statement", l.among(statementElements), func(name string, m Member) (err error) {
		if name == "" {
			return fmt.Errorf("line %d: unknown element %s in a statement", m.Value.Line, Quote(m.Key))
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
			err = fmt.Errorf("line %d: %s must be %s or %s, not %s", m.Value.Line, l.spell(name), allow, deny, Quote(s.Effect))
		}
		return err
	})
	both := func(name string) error {
		return fmt.Errorf("line %d: the statement contains both %s and %s", v.Line, l.spell(name), l.spell("Not"+name))
	}
	switch {
	case err != nil:
		return s, err
	case s.Effect == "":
		return s, fmt.Errorf("line %d: the statement contains no %s", v.Line, l.spell("Effect"))
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: the statement must contain either %s or %s", v.Line, l.spell("Action"), l.spell("NotAction"))
	case s.Resource != nil && s.NotResource != nil:
		return s, both("Resource")
	case s.Principal != nil && s.NotPrincipal != nil:
		return s, both("Principal")
	}
	return s, nil
}

func (l *Syntax) principal(m Member) (Principal, error) {
	if m.Value.Kind == '"' && m.Value.Text == "*" {
		return AnyPrincipal(), nil
	}
	if len(m.Value.Object) == 0 {
		return nil, fmt.Errorf("line %d: %s must be \"*\" or an object with %s", m.Value.Line, m.Key, oneOf(l.Kinds))
	}
	p := make(Principal)
	err := l.members(m.Value, m.Key, l.among(l.Kinds), func(name string, kind Member) (err error) {
		if name == "" {
			return fmt.Errorf("line %d: unknown kind of principal %s", kind.Value.Line, Quote(kind.Key))
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
			return fmt.Errorf("line %d: unknown operator %s", op.Value.Line, Quote(op.Key))
		}
		keys := make(map[string][]string)
		// Condition keys are case-insensitive in every language.
		err := l.members(op.Value, op.Key, strings.ToLower, func(name string, key Member) (err error) {
			if name == "" {
				return fmt.Errorf("line %d: the key of the condition is empty", key.Value.Line)
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
