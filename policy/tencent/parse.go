package tencent

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// MaxDocument is how many bytes a document may have: CAM keeps policies of 6144 characters,
// COS those of 20 KB, and what is printed for a thousand tenants stays below this.
const MaxDocument = policy.MaxSize

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
	v, err := policy.Parse(data)
	if err != nil {
		return nil, err
	}
	if inner := v.Get("Response"); inner != nil { // as the API answers, and tccli does not
		v = inner
	}
	one := func(part Part, holder *policy.Value, key string) ([]Document, error) {
		inner := holder.Get(key)
		if inner == nil {
			return nil, fmt.Errorf("it has no %s", key)
		}
		d, err := parseInner(part, inner)
		return []Document{d}, err
	}
	switch {
	case v.Kind != '{':
		return nil, errors.New("it is not an object")
	case slices.ContainsFunc(v.Object, func(m policy.Member) bool { return strings.EqualFold(m.Key, "statement") }):
		d, err := parseBare("", v)
		return []Document{d}, err
	case v.Get("RoleInfo") != nil: // GetRole
		return one(TrustPolicy, v.Get("RoleInfo"), "PolicyDocument")
	case v.Get("PolicyDocument") != nil: // GetPolicy, and what CreateRole and CreatePolicy take
		return one("", v, "PolicyDocument")
	case v.Get("PolicyVersion") != nil: // GetPolicyVersion
		return one(RolePolicy, v.Get("PolicyVersion"), "Document")
	}
	return parseOwn(v)
}

// parseOwn reads what [Documents.JSON] wrote.
func parseOwn(v *policy.Value) ([]Document, error) {
	known := []string{"oidc_provider", "lifecycle", "versioning", "strict_signature", "commands", "notes"}
	var docs []Document
	for _, m := range v.Object {
		switch {
		case slices.Contains(known, m.Key):
			continue
		case m.Key != "tenants" || m.Value.Kind != '{':
			return nil, fmt.Errorf("line %d: %s is no part of a policy", m.Value.Line, policy.Quote(m.Key))
		}
		for _, tenant := range m.Value.Object {
			if tenant.Value.Kind != '{' {
				return nil, fmt.Errorf("line %d: tenant %s is not an object", tenant.Value.Line, policy.Quote(tenant.Key))
			}
			for _, part := range tenant.Value.Object {
				switch Part(part.Key) {
				case TrustPolicy, RolePolicy:
					d, err := parseInner(Part(part.Key), part.Value)
					if err != nil {
						return nil, fmt.Errorf("tenant %s: %s: %w", policy.Quote(tenant.Key), part.Key, err)
					}
					d.Tenant = tenant.Key
					docs = append(docs, d)
				case "role_name", "role_arn":
				default:
					return nil, fmt.Errorf("line %d: %s is no part of a policy", part.Value.Line, policy.Quote(part.Key))
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
func parseInner(part Part, v *policy.Value) (Document, error) {
	if v.Kind == '"' {
		text, err := policy.Unescape(v.Text)
		if err != nil {
			return Document{}, fmt.Errorf("line %d: the policy is not URL-encoded: %w", v.Line, err)
		}
		inner, err := policy.Parse([]byte(text))
		if err != nil {
			return Document{}, fmt.Errorf("the policy in the string of line %d: %w", v.Line, err)
		}
		v = inner
	}
	return parseBare(part, v)
}

// parseBare reads a policy. Without a part it tells which one it is.
func parseBare(part Part, v *policy.Value) (Document, error) {
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
func folded(v *policy.Value, f func(name string, m policy.Member) error) error {
	if v.Kind != '{' {
		return fmt.Errorf("line %d: it is not an object", v.Line)
	}
	seen := make(map[string]bool)
	for _, m := range v.Object {
		name := strings.ToLower(m.Key)
		if seen[name] {
			return fmt.Errorf("line %d: %s is there twice", m.Value.Line, policy.Quote(m.Key))
		}
		seen[name] = true
		if err := f(name, m); err != nil {
			return err
		}
	}
	return nil
}

func parsePolicy(v *policy.Value) (*Policy, error) {
	p := &Policy{}
	err := folded(v, func(name string, m policy.Member) error {
		switch name {
		case "version":
			text, err := m.OneText()
			if err == nil && text != version {
				err = fmt.Errorf("line %d: CAM has no version %s", m.Value.Line, policy.Quote(text))
			}
			p.Version = text
			return err
		case "statement":
			list := m.Value.Array
			if m.Value.Kind == '{' {
				list = []*policy.Value{m.Value}
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
		return fmt.Errorf("line %d: a policy has no %s", m.Value.Line, policy.Quote(m.Key))
	})
	if err == nil && len(p.Statement) == 0 {
		err = fmt.Errorf("line %d: the policy has no statement", v.Line)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func parseStatement(v *policy.Value) (Statement, error) {
	var s Statement
	err := folded(v, func(name string, m policy.Member) (err error) {
		switch strings.ReplaceAll(name, "_", "") {
		case "sid", "id":
			s.ID, err = m.OneText()
		case "effect":
			s.Effect, err = m.OneText()
			if s.Effect = strings.ToLower(s.Effect); err == nil && s.Effect != "allow" && s.Effect != "deny" {
				err = fmt.Errorf("line %d: effect is allow or deny, not %s", m.Value.Line, policy.Quote(s.Effect))
			}
		case "principal":
			s.Principal, err = parsePrincipal(m)
		case "notprincipal":
			s.NotPrincipal, err = parsePrincipal(m)
		case "action":
			s.Action, err = m.Texts(false)
		case "notaction":
			s.NotAction, err = m.Texts(false)
		case "resource":
			s.Resource, err = m.Texts(false)
		case "notresource":
			s.NotResource, err = m.Texts(false)
		case "condition":
			s.Condition, err = parseConditions(m)
		default:
			err = fmt.Errorf("line %d: a statement has no %s", m.Value.Line, policy.Quote(m.Key))
		}
		return err
	})
	switch {
	case err != nil:
		return s, err
	case s.Effect == "":
		return s, fmt.Errorf("line %d: it has no effect", v.Line)
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: it needs action", v.Line)
	case s.Resource != nil && s.NotResource != nil, s.Principal != nil && s.NotPrincipal != nil:
		return s, fmt.Errorf("line %d: it names something, and all but something", v.Line)
	}
	return s, nil
}

func parsePrincipal(m policy.Member) (Principal, error) {
	if m.Value.Kind == '"' && m.Value.Text == "*" {
		return Everybody(), nil
	}
	p := make(Principal)
	err := folded(m.Value, func(name string, kind policy.Member) error {
		if !slices.Contains([]string{"qcs", "federated", "service"}, name) {
			return fmt.Errorf("line %d: there is no principal of kind %s", kind.Value.Line, policy.Quote(kind.Key))
		}
		list, err := kind.Texts(false)
		p[name] = list
		return err
	})
	if err == nil && len(p) == 0 {
		err = fmt.Errorf("line %d: %s is empty", m.Value.Line, m.Key)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func parseConditions(m policy.Member) (Conditions, error) {
	c := make(Conditions)
	err := folded(m.Value, func(name string, op policy.Member) error {
		if !splitOperator(name).known() {
			return fmt.Errorf("line %d: there is no operator %s", op.Value.Line, policy.Quote(op.Key))
		}
		keys := make(map[string][]string)
		err := folded(op.Value, func(name string, key policy.Member) error {
			if name == "" {
				return fmt.Errorf("line %d: a condition without a key", key.Value.Line)
			}
			values, err := key.Texts(true)
			keys[key.Key] = values
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
