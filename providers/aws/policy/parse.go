package policy

import (
	"errors"
	"fmt"
	"net/url"
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
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	one := func(part Part, holder *jsonValue, key string) ([]Document, error) {
		inner := holder.get(key)
		if inner == nil {
			return nil, fmt.Errorf("it has no %s", key)
		}
		d, err := parseInner(part, inner)
		return []Document{d}, err
	}
	// What is beside one of the first four would not be read.
	for i, key := range holders[:4] {
		for _, other := range holders[i+1:] {
			if v.kind == '{' && v.get(key) != nil && v.get(other) != nil {
				return nil, fmt.Errorf("line %d: it holds both %s and %s: give each policy alone", v.line, key, other)
			}
		}
	}
	switch {
	case v.kind != '{':
		return nil, errors.New("it is not an object")
	case v.get("Statement") != nil:
		d, err := parseBare("", v)
		return []Document{d}, err
	case v.get("Role") != nil: // get-role, create-role
		return one(TrustPolicy, v.get("Role"), "AssumeRolePolicyDocument")
	case v.get("PolicyDocument") != nil: // get-role-policy
		return one(RolePolicy, v, "PolicyDocument")
	case v.get("PolicyVersion") != nil: // get-policy-version
		return one(RolePolicy, v.get("PolicyVersion"), "Document")
	case v.get("Policy") != nil: // get-bucket-policy
		return one(BucketPolicy, v, "Policy")
	}
	return parseOwn(v)
}

// parseOwn reads what [Documents.JSON] wrote.
func parseOwn(v *jsonValue) ([]Document, error) {
	known := []string{"oidc_provider", "role_name", "role_arn", "lifecycle", "public_access_block", "versioning", "commands", "notes"}
	parts := []Part{TrustPolicy, RolePolicy, BucketPolicy}
	var docs []Document
	read := func(m jsonMember, tenant string) (bool, error) {
		if !slices.Contains(parts, Part(m.key)) {
			return false, nil
		}
		d, err := parseInner(Part(m.key), m.value)
		if err != nil {
			return true, fmt.Errorf("%s: %w", m.key, err)
		}
		d.Tenant = tenant
		docs = append(docs, d)
		return true, nil
	}
	for _, m := range v.object {
		ok, err := read(m, "")
		switch {
		case err != nil:
			return nil, err
		case ok || slices.Contains(known, m.key):
			continue
		case m.key != "tenants" || m.value.kind != '{':
			return nil, fmt.Errorf("line %d: %s is no part of a policy", m.value.line, quote(m.key))
		}
		for _, tenant := range m.value.object {
			for _, part := range tenant.value.object {
				if ok, err := read(part, tenant.key); err != nil {
					return nil, fmt.Errorf("tenant %s: %w", quote(tenant.key), err)
				} else if !ok && !slices.Contains(known, part.key) {
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

func parsePolicy(v *jsonValue) (*Policy, error) {
	p := &Policy{}
	if v.kind != '{' {
		return nil, fmt.Errorf("line %d: the policy is not an object", v.line)
	}
	for _, m := range v.object {
		var err error
		switch m.key {
		case "Version":
			if p.Version, err = oneText(m); err == nil && p.Version != "2012-10-17" && p.Version != "2008-10-17" {
				err = fmt.Errorf("line %d: there is no Version %s", m.value.line, quote(p.Version))
			}
		case "Id":
			p.ID, err = oneText(m)
		case "Statement":
			list := m.value.array
			if m.value.kind == '{' {
				list = []*jsonValue{m.value}
			}
			for i, s := range list {
				one, serr := parseStatement(s)
				if serr != nil {
					return nil, fmt.Errorf("in Statement[%d]: %w", i, serr)
				}
				p.Statement = append(p.Statement, one)
			}
		default:
			err = fmt.Errorf("line %d: a policy has no %s", m.value.line, quote(m.key))
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.Statement) == 0 {
		return nil, fmt.Errorf("line %d: the policy has no Statement", v.line)
	}
	return p, nil
}

func parseStatement(v *jsonValue) (Statement, error) {
	var s Statement
	if v.kind != '{' {
		return s, fmt.Errorf("line %d: it is not an object", v.line)
	}
	for _, m := range v.object {
		var err error
		switch m.key {
		case "Sid":
			s.Sid, err = oneText(m)
		case "Effect":
			if s.Effect, err = oneText(m); err == nil && s.Effect != "Allow" && s.Effect != "Deny" {
				err = fmt.Errorf("line %d: Effect is Allow or Deny, not %s", m.value.line, quote(s.Effect))
			}
		case "Principal":
			s.Principal, err = parsePrincipal(m)
		case "NotPrincipal":
			s.NotPrincipal, err = parsePrincipal(m)
		case "Action":
			s.Action, err = texts(m, false)
		case "NotAction":
			s.NotAction, err = texts(m, false)
		case "Resource":
			s.Resource, err = texts(m, false)
		case "NotResource":
			s.NotResource, err = texts(m, false)
		case "Condition":
			s.Condition, err = parseConditions(m)
		default:
			err = fmt.Errorf("line %d: a statement has no %s", m.value.line, quote(m.key))
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case s.Effect == "":
		return s, fmt.Errorf("line %d: it has no Effect", v.line)
	case (s.Action == nil) == (s.NotAction == nil):
		return s, fmt.Errorf("line %d: it needs either Action or NotAction", v.line)
	case s.Resource != nil && s.NotResource != nil:
		return s, fmt.Errorf("line %d: it has both Resource and NotResource", v.line)
	case s.Principal != nil && s.NotPrincipal != nil:
		return s, fmt.Errorf("line %d: it has both Principal and NotPrincipal", v.line)
	}
	return s, nil
}

func parsePrincipal(m jsonMember) (Principal, error) {
	if m.value.kind == '"' && m.value.text == "*" {
		return Everybody(), nil
	}
	p := make(Principal)
	for _, kind := range m.value.object {
		if !slices.Contains([]string{"AWS", "Federated", "Service", "CanonicalUser"}, kind.key) {
			return nil, fmt.Errorf("line %d: there is no principal of kind %s", kind.value.line, quote(kind.key))
		}
		list, err := texts(kind, false)
		if err != nil {
			return nil, err
		}
		p[kind.key] = list
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("line %d: %s is \"*\", or an object with AWS, Federated, Service or CanonicalUser", m.value.line, m.key)
	}
	return p, nil
}

func parseConditions(m jsonMember) (Conditions, error) {
	if m.value.kind != '{' {
		return nil, fmt.Errorf("line %d: Condition is not an object", m.value.line)
	}
	c := make(Conditions)
	for _, op := range m.value.object {
		if !splitOperator(op.key).known() {
			return nil, fmt.Errorf("line %d: there is no operator %s", op.value.line, quote(op.key))
		}
		if op.value.kind != '{' {
			return nil, fmt.Errorf("line %d: %s is not an object", op.value.line, op.key)
		}
		keys, folded := make(map[string][]string), make(map[string]bool)
		for _, key := range op.value.object {
			// Condition keys are the same in any case.
			if name := strings.ToLower(key.key); key.key == "" || folded[name] {
				return nil, fmt.Errorf("line %d: the key %s is empty or there twice", key.value.line, quote(key.key))
			} else {
				folded[name] = true
			}
			values, err := texts(key, true)
			if err != nil {
				return nil, err
			}
			keys[key.key] = values
		}
		if len(keys) > 0 {
			c[op.key] = keys
		}
	}
	if len(c) == 0 {
		return nil, nil // there is none
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
