package costest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A policyKind is the use of a policy document.
type policyKind int

const (
	ofIdentity policyKind = iota // for a role or a session: resources, no principals
	ofTrust                      // for a trust policy: principals, no resources
	ofBucket                     // for a bucket: principals and resources
)

// A policyDoc is a document in version 2.0 of the policy language of CAM (598/10603).
type policyDoc []policyStatement

type policyStatement struct {
	deny       bool
	actions    []string
	resources  []string
	principals map[string][]string // by kind: qcs, federated, service
	conditions []policyCondition
}

type policyCondition struct {
	op      string // for example string_equal
	negated bool
	ifExist bool
	key     string // in lower case
	values  []string
}

// policyOperators are the operators, without the suffix _if_exist.
var policyOperators = []string{
	"string_equal", "string_not_equal", "string_like", "ip_equal", "ip_not_equal", "bool_equal",
	"numeric_equal", "numeric_not_equal", "numeric_greater_than", "numeric_greater_than_equal", "numeric_less_than", "numeric_less_than_equal",
}

// parsePolicy parses a document. The case of names does not matter, because the examples of the
// service use different cases.
func parsePolicy(text string, kind policyKind) (policyDoc, error) {
	root, err := members(json.RawMessage(text))
	if err != nil {
		return nil, err
	}
	var version string
	var statements []json.RawMessage
	for name, raw := range root {
		switch name {
		case "version":
			err = json.Unmarshal(raw, &version)
		case "statement":
			if len(raw) > 0 && raw[0] == '{' {
				raw = slices.Concat(json.RawMessage("["), raw, json.RawMessage("]"))
			}
			err = json.Unmarshal(raw, &statements)
		default:
			err = fmt.Errorf("unknown member %q of a policy", name)
		}
		if err != nil {
			return nil, err
		}
	}
	if version != "2.0" || len(statements) == 0 {
		return nil, fmt.Errorf("a policy must have version 2.0 and a statement")
	}
	var doc policyDoc
	for _, raw := range statements {
		s, err := parsePolicyStatement(raw, kind)
		if err != nil {
			return nil, err
		}
		doc = append(doc, s)
	}
	return doc, nil
}

func parsePolicyStatement(raw json.RawMessage, kind policyKind) (s policyStatement, err error) {
	all, err := members(raw)
	if err != nil {
		return s, err
	}
	effect := ""
	for name, raw := range all {
		switch name {
		case "sid", "id":
		case "effect":
			err = json.Unmarshal(raw, &effect)
			effect = strings.ToLower(effect)
			s.deny = effect == "deny"
		case "action":
			s.actions, err = policyTexts(raw)
		case "resource":
			s.resources, err = policyTexts(raw)
		case "principal":
			s.principals, err = parsePrincipals(raw)
		case "condition":
			s.conditions, err = parsePolicyConditions(raw)
		default:
			err = fmt.Errorf("unknown member %q of a statement", name)
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case effect != "allow" && effect != "deny":
		return s, fmt.Errorf("effect must be allow or deny")
	case len(s.actions) == 0:
		return s, fmt.Errorf("a statement must have an action")
	case (kind == ofIdentity) != (s.principals == nil):
		return s, fmt.Errorf("principal is required in trust and bucket policies, and not allowed elsewhere")
	case (kind == ofTrust) != (len(s.resources) == 0):
		return s, fmt.Errorf("resource is not allowed in trust policies, and required elsewhere")
	}
	return s, nil
}

// members returns the members of a JSON object, with names in lower case.
func members(raw json.RawMessage) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("expected an object")
	}
	all := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(t.(string))
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("duplicate member %q", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		all[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("unexpected data after the object")
	}
	return all, nil
}

// policyTexts parses a string, number or boolean, or a list of them.
func policyTexts(raw json.RawMessage) ([]string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case bool:
			all = append(all, strconv.FormatBool(v))
		case float64:
			all = append(all, strconv.FormatFloat(v, 'f', -1, 64))
		default:
			return nil, fmt.Errorf("expected a string or a list of strings")
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("a list is empty")
	}
	return all, nil
}

func parsePrincipals(raw json.RawMessage) (map[string][]string, error) {
	if string(raw) == `"*"` {
		return map[string][]string{"qcs": {anyone}}, nil
	}
	all, err := members(raw)
	if err != nil {
		return nil, err
	}
	p := make(map[string][]string)
	for kind, raw := range all {
		if !slices.Contains([]string{"qcs", "federated", "service"}, kind) {
			return nil, fmt.Errorf("unknown kind of principal %q", kind)
		}
		if p[kind], err = policyTexts(raw); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func parsePolicyConditions(raw json.RawMessage) (all []policyCondition, err error) {
	ops, err := members(raw)
	if err != nil {
		return nil, err
	}
	for name, raw := range ops {
		c := policyCondition{}
		c.op, c.ifExist = strings.CutSuffix(name, "_if_exist")
		if !slices.Contains(policyOperators, c.op) {
			return nil, fmt.Errorf("unknown operator %q", name)
		}
		if c.negated = strings.Contains(c.op, "_not_"); c.negated {
			c.op = strings.Replace(c.op, "_not_", "_", 1)
		}
		keys, err := members(raw)
		if err != nil {
			return nil, err
		}
		for key, raw := range keys {
			c.key = key
			if c.values, err = policyTexts(raw); err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// matches reports whether a statement applies to an action on a resource under conditions. If
// resource is "", the resources of the statement are ignored.
func (s policyStatement) matches(srv *Server, action, resource string, conditions map[string]string) bool {
	if !slices.ContainsFunc(s.actions, func(pattern string) bool { return matchAction(pattern, action) }) {
		return false
	}
	if resource != "" && !slices.ContainsFunc(s.resources, func(pattern string) bool { return matchResource(pattern, resource) }) {
		return false
	}
	// According to the documentation, requests fail if a statement has a condition and a * in an
	// action. So an allow does not apply here, and a deny does.
	starred := slices.ContainsFunc(s.actions, func(pattern string) bool { return strings.Contains(pattern, "*") })
	if starred && len(s.conditions) > 0 && srv.unsure("action-wildcard") == "fail" {
		return s.deny
	}
	return !slices.ContainsFunc(s.conditions, func(c policyCondition) bool { return !c.holds(srv, conditions) })
}

// holds evaluates a condition (436/46205). If its key is missing, the result is false, even for a
// negated operator, and true with _if_exist.
func (c policyCondition) holds(srv *Server, conditions map[string]string) bool {
	got, ok := conditions[c.key]
	if !ok {
		return c.ifExist
	}
	is := func(want string) bool { return compare(c.op, got, want) }
	switch {
	case !c.negated:
		return slices.ContainsFunc(c.values, is)
	case srv.unsure("negated-list") == "any-of":
		return slices.ContainsFunc(c.values, func(want string) bool { return !is(want) })
	}
	return !slices.ContainsFunc(c.values, is)
}

func compare(op, got, want string) bool {
	switch op {
	case "string_equal":
		return got == want && !hasVariable(want)
	case "string_like":
		return matchEnds(want, got)
	case "bool_equal":
		return strings.EqualFold(got, want)
	case "ip_equal":
		addr, err := netip.ParseAddr(got)
		if err != nil {
			return false
		}
		if prefix, err := netip.ParsePrefix(want); err == nil {
			return prefix.Contains(addr)
		}
		other, err := netip.ParseAddr(want)
		return err == nil && other == addr
	}
	a, err1 := strconv.ParseFloat(got, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	switch op {
	case "numeric_equal":
		return a == b
	case "numeric_greater_than":
		return a > b
	case "numeric_greater_than_equal":
		return a >= b
	case "numeric_less_than":
		return a < b
	case "numeric_less_than_equal":
		return a <= b
	}
	panic("costest: no operator " + op)
}

// hasVariable reports whether a pattern contains a variable. In policies for COS, the service
// treats variables as plain text, so a pattern with a variable must never allow access here.
func hasVariable(pattern string) bool { return strings.Contains(pattern, "${") }

// matchEnds matches with a * at the start or the end of the pattern. Elsewhere, * is a normal
// character.
func matchEnds(pattern, s string) bool {
	if hasVariable(pattern) {
		return false
	}
	if pattern == "*" {
		return true
	}
	core, end := strings.CutSuffix(pattern, "*")
	core, start := strings.CutPrefix(core, "*")
	switch {
	case start && end:
		return strings.Contains(s, core)
	case start:
		return strings.HasSuffix(s, core)
	case end:
		return strings.HasPrefix(s, core)
	}
	return s == core
}

// matchAction matches actions such as name/cos:GetObject. The prefix name/ is optional. Matching is
// case-sensitive.
func matchAction(pattern, action string) bool {
	return pattern == "*" || matchEnds(strings.TrimPrefix(pattern, "name/"), strings.TrimPrefix(action, "name/"))
}

// matchResource matches six segments. The region may be empty or *, and the last segment may end in
// *. The owner of a COS resource must be uid/APPID.
func matchResource(pattern, resource string) bool {
	if pattern == "*" {
		return true
	}
	p, r := strings.SplitN(pattern, ":", 6), strings.SplitN(resource, ":", 6)
	if len(p) != 6 || len(r) != 6 {
		return false
	}
	for i := range 5 {
		if p[i] != r[i] && (i < 2 || i == 4 || p[i] != "*") && (i != 3 || p[i] != "") {
			return false
		}
	}
	core, end := strings.CutSuffix(p[5], "*")
	return !hasVariable(p[5]) && (p[5] == r[5] || end && strings.HasPrefix(r[5], core))
}

// evaluate reports whether a document allows a request, and whether it denies it. It calls who only
// for statements with principals.
func (s *Server) evaluate(doc policyDoc, r accessRequest, who func(policyStatement) bool) (allowed, denied bool) {
	for _, st := range doc {
		if who != nil && !who(st) || !st.matches(s, r.action, r.resource, r.conditions) {
			continue
		}
		allowed, denied = allowed || !st.deny, denied || st.deny
	}
	return allowed, denied
}

// authorize implements the decision of 436/35240. Any deny has priority. Otherwise, the allows of
// the role and of the bucket are combined, and a signed request also has the permissions of an
// anonymous one. The policy of a session is a limit.
func (a *access) authorize(c caller, r accessRequest) error {
	s := a.s
	var bucket policyDoc
	if r.bucketPolicy != "" {
		var err error
		if bucket, err = parsePolicy(r.bucketPolicy, ofBucket); err != nil {
			return errAccessDenied
		}
	}
	public, closed := s.evaluate(bucket, r, func(st policyStatement) bool { return isAnyone(st.principals) })
	if c.anonymous {
		if closed || !public && !r.publicACL {
			return errAccessDenied
		}
		return nil
	}
	// According to the documentation, "anyone" in a deny means only unsigned requests.
	allowed, denied := s.evaluate(bucket, r, func(st policyStatement) bool { return s.names(st.principals, c) })
	allowed = allowed || r.acl
	if c.roleID == "" && c.sessionPolicy != "" {
		allowed = true // a federation token of the owner
	}
	for _, doc := range a.policiesOf(c.roleID) {
		yes, no := s.evaluate(doc, r, nil)
		allowed, denied = allowed || yes, denied || no
	}
	if c.sessionPolicy != "" {
		doc, err := parsePolicy(c.sessionPolicy, ofIdentity)
		if err != nil {
			return errAccessDenied
		}
		yes, no := s.evaluate(doc, r, nil)
		allowed, denied = allowed && yes, denied || no
	}
	asAnyone := (public || r.publicACL) && !closed // the limit of a session does not apply
	if denied || !allowed && !asAnyone {
		return errAccessDenied
	}
	return nil
}

// anyone matches every caller, signed or not. Older pages of the documentation use the other names.
const anyone = "qcs::cam::anyone:anyone"

func isAnyone(principals map[string][]string) bool {
	return slices.ContainsFunc(principals["qcs"], func(p string) bool { return p == anyone || p == "qcs::cam::anonymous:anonymous" || p == "*" })
}

// names reports whether principals contain the caller.
func (s *Server) names(principals map[string][]string, c caller) bool {
	account := "qcs::cam::uin/" + c.uin + ":"
	names := []string{account + "root", account + "uin/" + c.uin}
	switch {
	case c.roleID != "":
		names = []string{account + "roleName/" + c.roleName, account + "role/" + c.roleID}
	case c.subUin != "":
		names = []string{account + "uin/" + c.subUin, account + "uin/*"}
	}
	return slices.ContainsFunc(principals["qcs"], func(p string) bool { return slices.Contains(names, p) })
}

// maxBucketPolicy is the maximum size of a bucket policy in bytes.
const maxBucketPolicy = 20 << 10

// checkPolicy checks whether a bucket policy can be stored. It returns nil or MalformedPolicy.
func (s *Server) checkPolicy(bucket string, text []byte) error {
	bad := func(format string, args ...any) error {
		return failure(http.StatusBadRequest, "MalformedPolicy", format, args...)
	}
	if len(text) > maxBucketPolicy {
		return failure(http.StatusBadRequest, "PolicyFull", "The policy is larger than %d bytes.", maxBucketPolicy)
	}
	doc, err := parsePolicy(string(text), ofBucket)
	if err != nil {
		return bad("Policy is malformed: %v.", err)
	}
	for _, st := range doc {
		for kind, list := range st.principals {
			for _, p := range list {
				role := strings.Contains(p, ":roleName/") || strings.Contains(p, ":role/")
				if kind != "qcs" && kind != "service" || role && s.unsure("role-principal") == "refuse" {
					return bad("Invalid principal %q.", p)
				}
			}
		}
		for _, r := range st.resources {
			parts := strings.SplitN(r, ":", 6)
			if len(parts) != 6 || parts[2] != "cos" || !strings.HasPrefix(parts[4], "uid/") || !strings.HasPrefix(parts[5], bucket+"/") && parts[5] != bucket {
				return bad("Invalid resource %q.", r)
			}
		}
	}
	return nil
}
