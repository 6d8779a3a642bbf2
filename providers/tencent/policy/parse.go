package policy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrDocument means that a document is not a policy, or not in a form that is known. It
// is refused whole: what is not understood cannot be called free of holes.
var ErrDocument = errors.New("malformed policy")

// A Part is which of the documents one is, by the name that [Documents] gives it.
type Part string

// The parts that hold policies.
const (
	TrustPolicy  Part = "trust_policy"
	RolePolicy   Part = "role_policy"
	BucketPolicy Part = "bucket_policy"
)

// A Document is a policy and where it was found.
type Document struct {
	File   string // for messages
	Part   Part
	Tenant string // in tenants of [Documents]; else empty
	Policy *Policy
}

var (
	saysVersion = regexp.MustCompile(`(?i)"version\\*"\s*:\s*\\*"2\.0\\*"`)
	ofCAM       = regexp.MustCompile(`"statement\\*"\s*:|"IdentityUrl"\s*:|"RoleInfo"\s*:`)
)

// Recognise says whether data looks like a document of Tencent Cloud: of version 2.0, or
// with names in lower case. AWS has neither. Parse says what is wrong with it.
func Recognise(data []byte) bool {
	text := string(data[:min(len(data), MaxDocument)])
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return saysVersion.MatchString(text) || ofCAM.MatchString(text)
}

// Parse reads the policies in data: a bare policy, the answer of CAM GetRole, GetPolicy
// or GetPolicyVersion or of COS GET ?policy, URL-encoded or not, or [Documents] as JSON.
// Names are taken in any case, as CAM's own samples have them. File is for messages. What
// is wrong wraps [ErrDocument].
func Parse(file string, data []byte) ([]Document, error) {
	docs, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	for i := range docs {
		docs[i].File = file
	}
	return docs, nil
}

func parse(data []byte) ([]Document, error) {
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	if inner := v.get("Response"); inner != nil { // as the API answers, and tccli does not
		v = inner
	}
	one := func(part Part, holder *jsonValue, key string) ([]Document, error) {
		inner := holder.get(key)
		if inner == nil {
			return nil, fmt.Errorf("it has no %s", key)
		}
		d, err := parseInner(part, inner)
		return []Document{d}, err
	}
	switch {
	case v.kind != '{':
		return nil, errors.New("it is not an object")
	case slices.ContainsFunc(v.object, func(m jsonMember) bool { return strings.EqualFold(m.key, "statement") }):
		d, err := parseBare("", v)
		return []Document{d}, err
	case v.get("RoleInfo") != nil: // GetRole
		return one(TrustPolicy, v.get("RoleInfo"), "PolicyDocument")
	case v.get("PolicyDocument") != nil: // GetPolicy, and what CreateRole and CreatePolicy take
		return one("", v, "PolicyDocument")
	case v.get("PolicyVersion") != nil: // GetPolicyVersion
		return one(RolePolicy, v.get("PolicyVersion"), "Document")
	}
	return parseOwn(v)
}

// parseOwn reads what [Documents.JSON] wrote.
func parseOwn(v *jsonValue) ([]Document, error) {
	known := []string{"oidc_provider", "lifecycle", "versioning", "strict_signature", "commands", "notes"}
	var docs []Document
	for _, m := range v.object {
		switch {
		case slices.Contains(known, m.key):
			continue
		case m.key != "tenants" || m.value.kind != '{':
			return nil, fmt.Errorf("line %d: %s is no part of a policy", m.value.line, quote(m.key))
		}
		for _, tenant := range m.value.object {
			for _, part := range tenant.value.object {
				switch Part(part.key) {
				case TrustPolicy, RolePolicy:
					d, err := parseInner(Part(part.key), part.value)
					if err != nil {
						return nil, fmt.Errorf("tenant %s: %s: %w", quote(tenant.key), part.key, err)
					}
					d.Tenant = tenant.key
					docs = append(docs, d)
				case "role_name", "role_arn":
				default:
					return nil, fmt.Errorf("line %d: %s is no part of a policy", part.value.line, quote(part.key))
				}
			}
		}
	}
	if len(docs) == 0 {
		return nil, errors.New("it holds no policy")
	}
	return docs, nil
}

// parseInner reads a policy inside another answer: an object, or a string that holds
// one, perhaps URL-encoded.
func parseInner(part Part, v *jsonValue) (Document, error) {
	if v.kind == '"' {
		text := v.text
		if strings.HasPrefix(text, "%7B") || strings.HasPrefix(text, "%7b") || strings.HasPrefix(text, "%0A") || strings.HasPrefix(text, "%20") {
			var err error
			if text, err = url.PathUnescape(text); err != nil { // not a query: + is a plus
				return Document{}, fmt.Errorf("line %d: the policy is not URL-encoded: %w", v.line, err)
			}
		}
		inner, err := parseJSON([]byte(text))
		if err != nil {
			return Document{}, fmt.Errorf("the policy in the string of line %d: %w", v.line, err)
		}
		v = inner
	}
	return parseBare(part, v)
}

// parseBare reads a policy. Without a part it tells which one it is.
func parseBare(part Part, v *jsonValue) (Document, error) {
	p, err := parsePolicy(v)
	if err != nil {
		return Document{}, err
	}
	principals, assumes := 0, false
	for _, s := range p.Statement {
		if s.Principal != nil || s.NotPrincipal != nil {
			principals++
		}
		for _, a := range append(slices.Clone(s.Action), s.NotAction...) {
			assumes = assumes || strings.HasPrefix(strings.TrimPrefix(a, "name/"), "sts:")
		}
		assumes = assumes || s.Principal["federated"] != nil
	}
	if part == "" {
		switch {
		case principals == 0:
			part = RolePolicy
		case assumes:
			part = TrustPolicy
		default:
			part = BucketPolicy
		}
	}
	for i, s := range p.Statement {
		has := s.Principal != nil || s.NotPrincipal != nil
		resource := s.Resource != nil || s.NotResource != nil
		switch {
		case part == RolePolicy && has:
			return Document{}, fmt.Errorf("there is a principal in statement[%d], which a role's own policy never has", i)
		case part != RolePolicy && !has:
			return Document{}, fmt.Errorf("there is no principal in statement[%d]", i)
		case part == TrustPolicy && resource:
			return Document{}, fmt.Errorf("there is a resource in statement[%d], which a trust policy never has", i)
		case part != TrustPolicy && !resource:
			return Document{}, fmt.Errorf("there is no resource in statement[%d]", i)
		}
	}
	return Document{Part: part, Policy: p}, nil
}

// folded calls f with each member, its name in lower case, and refuses a name that is
// there twice in different cases: a cloud may take the other one.
func folded(v *jsonValue, f func(name string, m jsonMember) error) error {
	if v.kind != '{' {
		return fmt.Errorf("line %d: it is not an object", v.line)
	}
	seen := make(map[string]bool)
	for _, m := range v.object {
		name := strings.ToLower(m.key)
		if seen[name] {
			return fmt.Errorf("line %d: %s is there twice", m.value.line, quote(m.key))
		}
		seen[name] = true
		if err := f(name, m); err != nil {
			return err
		}
	}
	return nil
}

func parsePolicy(v *jsonValue) (*Policy, error) {
	p := &Policy{}
	err := folded(v, func(name string, m jsonMember) error {
		switch name {
		case "version":
			text, err := oneText(m)
			if err == nil && text != version {
				err = fmt.Errorf("line %d: CAM has no version %s", m.value.line, quote(text))
			}
			p.Version = text
			return err
		case "statement":
			list := m.value.array
			if m.value.kind == '{' {
				list = []*jsonValue{m.value}
			}
			for i, s := range list {
				one, err := parseStatement(s)
				if err != nil {
					return fmt.Errorf("in statement[%d]: %w", i, err)
				}
				p.Statement = append(p.Statement, one)
			}
			return nil
		}
		return fmt.Errorf("line %d: a policy has no %s", m.value.line, quote(m.key))
	})
	if err == nil && len(p.Statement) == 0 {
		err = fmt.Errorf("line %d: the policy has no statement", v.line)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func parseStatement(v *jsonValue) (Statement, error) {
	var s Statement
	err := folded(v, func(name string, m jsonMember) (err error) {
		switch strings.ReplaceAll(name, "_", "") {
		case "sid", "id":
			s.ID, err = oneText(m)
		case "effect":
			s.Effect, err = oneText(m)
			if s.Effect = strings.ToLower(s.Effect); err == nil && s.Effect != "allow" && s.Effect != "deny" {
				err = fmt.Errorf("line %d: effect is allow or deny, not %s", m.value.line, quote(s.Effect))
			}
		case "principal":
			s.Principal, err = parsePrincipal(m)
		case "notprincipal":
			s.NotPrincipal, err = parsePrincipal(m)
		case "action":
			s.Action, err = texts(m, false)
		case "notaction":
			s.NotAction, err = texts(m, false)
		case "resource":
			s.Resource, err = texts(m, false)
		case "notresource":
			s.NotResource, err = texts(m, false)
		case "condition":
			s.Condition, err = parseConditions(m)
		default:
			err = fmt.Errorf("line %d: a statement has no %s", m.value.line, quote(m.key))
		}
		return err
	})
	switch {
	case err != nil:
		return s, err
	case s.Effect == "":
		return s, fmt.Errorf("line %d: it has no effect", v.line)
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: it needs action", v.line)
	case s.Resource != nil && s.NotResource != nil, s.Principal != nil && s.NotPrincipal != nil:
		return s, fmt.Errorf("line %d: it names something, and all but something", v.line)
	}
	return s, nil
}

func parsePrincipal(m jsonMember) (Principal, error) {
	if m.value.kind == '"' && m.value.text == "*" {
		return Everybody(), nil
	}
	p := make(Principal)
	err := folded(m.value, func(name string, kind jsonMember) error {
		if !slices.Contains([]string{"qcs", "federated", "service"}, name) {
			return fmt.Errorf("line %d: there is no principal of kind %s", kind.value.line, quote(kind.key))
		}
		list, err := texts(kind, false)
		p[name] = list
		return err
	})
	if err == nil && len(p) == 0 {
		err = fmt.Errorf("line %d: %s is empty", m.value.line, m.key)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func parseConditions(m jsonMember) (Conditions, error) {
	c := make(Conditions)
	err := folded(m.value, func(name string, op jsonMember) error {
		if !splitOperator(name).known() {
			return fmt.Errorf("line %d: there is no operator %s", op.value.line, quote(op.key))
		}
		keys := make(map[string][]string)
		err := folded(op.value, func(name string, key jsonMember) error {
			if name == "" {
				return fmt.Errorf("line %d: a condition without a key", key.value.line)
			}
			values, err := texts(key, true)
			keys[key.key] = values
			return err
		})
		if len(keys) > 0 {
			c[name] = keys
		}
		return err
	})
	if err != nil || len(c) == 0 {
		return nil, err
	}
	return c, nil
}

func oneText(m jsonMember) (string, error) {
	if m.value.kind != '"' {
		return "", fmt.Errorf("line %d: %s is not a string", m.value.line, m.key)
	}
	return m.value.text, nil
}

// texts takes a string or a list of them; where scalars may stand, numbers and truth
// values too.
func texts(m jsonMember, scalars bool) ([]string, error) {
	list := m.value.array
	if m.value.kind != '[' {
		list = []*jsonValue{m.value}
	}
	var all []string
	for _, v := range list {
		if v.kind != '"' && !(scalars && (v.kind == 't' || v.kind == '0')) {
			return nil, fmt.Errorf("line %d: %s is not a string or a list of strings", v.line, quote(m.key))
		}
		if v.text == "" && !scalars {
			return nil, fmt.Errorf("line %d: %s has an empty string", v.line, quote(m.key))
		}
		all = append(all, v.text)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("line %d: %s is empty", m.value.line, quote(m.key))
	}
	return all, nil
}
