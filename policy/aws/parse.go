package aws

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// MaxDocument is how many bytes a document may have: AWS keeps policies of 20 KiB, and
// statement pairs for thousands of tenants at an RGW stay below this.
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

// Parse reads the policies in data: a bare policy, the answer of iam get-role,
// get-role-policy, get-policy-version or s3api get-bucket-policy, URL-encoded or not, or
// [Documents] as JSON. File is for messages. What is wrong wraps [ErrDocument].
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

// holders are the members that hold policies: four of fetched ones, then our own.
var holders = []string{"Role", "PolicyDocument", "PolicyVersion", "Policy", string(TrustPolicy), string(RolePolicy), string(BucketPolicy), "tenants"}

func parse(data []byte) ([]Document, error) {
	v, err := policy.Parse(data)
	if err != nil {
		return nil, err
	}
	one := func(part Part, holder *policy.Value, key string) ([]Document, error) {
		inner := holder.Get(key)
		if inner == nil {
			return nil, fmt.Errorf("it has no %s", key)
		}
		d, err := parseInner(part, inner)
		return []Document{d}, err
	}
	// What is beside one of the first four would not be read.
	for i, key := range holders[:4] {
		for _, other := range holders[i+1:] {
			if v.Kind == '{' && v.Get(key) != nil && v.Get(other) != nil {
				return nil, fmt.Errorf("line %d: it holds both %s and %s: give each policy alone", v.Line, key, other)
			}
		}
	}
	switch {
	case v.Kind != '{':
		return nil, errors.New("it is not an object")
	case v.Get("Statement") != nil:
		d, err := parseBare("", v)
		return []Document{d}, err
	case v.Get("Role") != nil: // get-role, create-role
		return one(TrustPolicy, v.Get("Role"), "AssumeRolePolicyDocument")
	case v.Get("PolicyDocument") != nil: // get-role-policy
		return one(RolePolicy, v, "PolicyDocument")
	case v.Get("PolicyVersion") != nil: // get-policy-version
		return one(RolePolicy, v.Get("PolicyVersion"), "Document")
	case v.Get("Policy") != nil: // get-bucket-policy
		return one(BucketPolicy, v, "Policy")
	}
	return parseOwn(v)
}

// parseOwn reads what [Documents.JSON] wrote.
func parseOwn(v *policy.Value) ([]Document, error) {
	known := []string{"oidc_provider", "role_name", "role_arn", "lifecycle", "public_access_block", "versioning", "commands", "notes"}
	parts := []Part{TrustPolicy, RolePolicy, BucketPolicy}
	var docs []Document
	read := func(m policy.Member, tenant string) (bool, error) {
		if !slices.Contains(parts, Part(m.Key)) {
			return false, nil
		}
		d, err := parseInner(Part(m.Key), m.Value)
		if err != nil {
			return true, fmt.Errorf("%s: %w", m.Key, err)
		}
		d.Tenant = tenant
		docs = append(docs, d)
		return true, nil
	}
	for _, m := range v.Object {
		ok, err := read(m, "")
		switch {
		case err != nil:
			return nil, err
		case ok || slices.Contains(known, m.Key):
			continue
		case m.Key != "tenants" || m.Value.Kind != '{':
			return nil, fmt.Errorf("line %d: %s is no part of a policy", m.Value.Line, policy.Quote(m.Key))
		}
		for _, tenant := range m.Value.Object {
			if tenant.Value.Kind != '{' {
				return nil, fmt.Errorf("line %d: tenant %s is not an object", tenant.Value.Line, policy.Quote(tenant.Key))
			}
			for _, part := range tenant.Value.Object {
				if ok, err := read(part, tenant.Key); err != nil {
					return nil, fmt.Errorf("tenant %s: %w", policy.Quote(tenant.Key), err)
				} else if !ok && !slices.Contains(known, part.Key) {
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
			assumes = assumes || strings.HasPrefix(strings.ToLower(a), "sts:")
		}
		assumes = assumes || s.Principal["Federated"] != nil
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
			return Document{}, fmt.Errorf("there is a Principal in Statement[%d], which a role's own policy never has", i)
		case part != RolePolicy && !has:
			return Document{}, fmt.Errorf("there is no Principal in Statement[%d]", i)
		case part == TrustPolicy && resource:
			return Document{}, fmt.Errorf("there is a Resource in Statement[%d], which a trust policy never has", i)
		case part != TrustPolicy && !resource:
			return Document{}, fmt.Errorf("there is no Resource in Statement[%d]", i)
		}
	}
	return Document{Part: part, Policy: p}, nil
}

func parsePolicy(v *policy.Value) (*Policy, error) {
	p := &Policy{}
	if v.Kind != '{' {
		return nil, fmt.Errorf("line %d: the policy is not an object", v.Line)
	}
	for _, m := range v.Object {
		var err error
		switch m.Key {
		case "Version":
			if p.Version, err = m.OneText(); err == nil && p.Version != "2012-10-17" && p.Version != "2008-10-17" {
				err = fmt.Errorf("line %d: there is no Version %s", m.Value.Line, policy.Quote(p.Version))
			}
		case "Id":
			p.ID, err = m.OneText()
		case "Statement":
			list := m.Value.Array
			if m.Value.Kind == '{' {
				list = []*policy.Value{m.Value}
			}
			for i, s := range list {
				one, serr := parseStatement(s)
				if serr != nil {
					return nil, fmt.Errorf("in Statement[%d]: %w", i, serr)
				}
				p.Statement = append(p.Statement, one)
			}
		default:
			err = fmt.Errorf("line %d: a policy has no %s", m.Value.Line, policy.Quote(m.Key))
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.Statement) == 0 {
		return nil, fmt.Errorf("line %d: the policy has no Statement", v.Line)
	}
	return p, nil
}

func parseStatement(v *policy.Value) (Statement, error) {
	var s Statement
	if v.Kind != '{' {
		return s, fmt.Errorf("line %d: it is not an object", v.Line)
	}
	for _, m := range v.Object {
		var err error
		switch m.Key {
		case "Sid":
			s.Sid, err = m.OneText()
		case "Effect":
			if s.Effect, err = m.OneText(); err == nil && s.Effect != "Allow" && s.Effect != "Deny" {
				err = fmt.Errorf("line %d: Effect is Allow or Deny, not %s", m.Value.Line, policy.Quote(s.Effect))
			}
		case "Principal":
			s.Principal, err = parsePrincipal(m)
		case "NotPrincipal":
			s.NotPrincipal, err = parsePrincipal(m)
		case "Action":
			s.Action, err = m.Texts(false)
		case "NotAction":
			s.NotAction, err = m.Texts(false)
		case "Resource":
			s.Resource, err = m.Texts(false)
		case "NotResource":
			s.NotResource, err = m.Texts(false)
		case "Condition":
			s.Condition, err = parseConditions(m)
		default:
			err = fmt.Errorf("line %d: a statement has no %s", m.Value.Line, policy.Quote(m.Key))
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case s.Effect == "":
		return s, fmt.Errorf("line %d: it has no Effect", v.Line)
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: it needs either Action or NotAction", v.Line)
	case s.Resource != nil && s.NotResource != nil:
		return s, fmt.Errorf("line %d: it has both Resource and NotResource", v.Line)
	case s.Principal != nil && s.NotPrincipal != nil:
		return s, fmt.Errorf("line %d: it has both Principal and NotPrincipal", v.Line)
	}
	return s, nil
}

func parsePrincipal(m policy.Member) (Principal, error) {
	if m.Value.Kind == '"' && m.Value.Text == "*" {
		return Everybody(), nil
	}
	p := make(Principal)
	for _, kind := range m.Value.Object {
		if !slices.Contains([]string{"AWS", "Federated", "Service", "CanonicalUser"}, kind.Key) {
			return nil, fmt.Errorf("line %d: there is no principal of kind %s", kind.Value.Line, policy.Quote(kind.Key))
		}
		list, err := kind.Texts(false)
		if err != nil {
			return nil, err
		}
		p[kind.Key] = list
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("line %d: %s is \"*\", or an object with AWS, Federated, Service or CanonicalUser", m.Value.Line, m.Key)
	}
	return p, nil
}

func parseConditions(m policy.Member) (Conditions, error) {
	if m.Value.Kind != '{' {
		return nil, fmt.Errorf("line %d: Condition is not an object", m.Value.Line)
	}
	c := make(Conditions)
	for _, op := range m.Value.Object {
		if !splitOperator(op.Key).known() {
			return nil, fmt.Errorf("line %d: there is no operator %s", op.Value.Line, policy.Quote(op.Key))
		}
		if op.Value.Kind != '{' {
			return nil, fmt.Errorf("line %d: %s is not an object", op.Value.Line, op.Key)
		}
		keys, folded := make(map[string][]string), make(map[string]bool)
		for _, key := range op.Value.Object {
			// Condition keys are the same in any case.
			if name := strings.ToLower(key.Key); key.Key == "" || folded[name] {
				return nil, fmt.Errorf("line %d: the key %s is empty or there twice", key.Value.Line, policy.Quote(key.Key))
			} else {
				folded[name] = true
			}
			values, err := key.Texts(true)
			if err != nil {
				return nil, err
			}
			keys[key.Key] = values
		}
		if len(keys) > 0 {
			c[op.Key] = keys
		}
	}
	if len(c) == 0 {
		return nil, nil // there is none
	}
	return c, nil
}
