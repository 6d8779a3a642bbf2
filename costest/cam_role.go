package costest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type role struct {
	id, name, trust  string
	description      string
	sessionDuration  int
	attached         []string // names of the attached policies
	created, updated time.Time
}

// AddRole creates a role with its trust policy and, unless policy is empty, a policy of the same
// name. It returns qcs::cam::uin/UIN:roleName/NAME. If CAM would refuse a document, AddRole returns
// an error and creates nothing.
func (s *Server) AddRole(name, trust, policy string) (arn string, err error) {
	a := s.access
	if err = a.checkTrust(trust); err == nil && policy != "" {
		_, err = a.createPolicy(name, policy, "")
	}
	if err == nil {
		_, err = a.createRole(name, trust, "", 0)
	}
	if err == nil && policy != "" {
		err = a.attach(name, name)
	}
	if err != nil {
		return "", fmt.Errorf("costest: %w", err)
	}
	return a.roleARN(name), nil
}

func (a *access) roleARN(name string) string {
	return "qcs::cam::uin/" + a.s.o.OwnerUin + ":roleName/" + name
}

func (a *access) createRole(name, trust, description string, duration int) (id string, err error) {
	if !camName.MatchString(name) || duration < 0 || duration > maxDuration {
		return "", refuse("InvalidParameter.ParamError", "RoleName or SessionDuration is malformed.")
	}
	if err := a.checkTrust(trust); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.roles[name] != nil {
		return "", refuse("InvalidParameter.RoleNameInUse", "The role name %s is in use.", name)
	}
	if len(a.roles) == maxRoles {
		return "", refuse("InvalidParameter.RoleFull", "The account has %d roles.", maxRoles)
	}
	a.lastRole++
	now := a.s.o.Now()
	a.roles[name] = &role{
		id: strconv.Itoa(a.lastRole), name: name, trust: trust, description: description, sessionDuration: duration, created: now, updated: now,
	}
	return strconv.Itoa(a.lastRole), nil
}

// checkTrust checks whether a trust policy can be stored. For an OIDC provider, the policy must
// compare oidc:iss and oidc:aud with string_equal. Without oidc:sub, every token of the issuer can
// assume the role.
func (a *access) checkTrust(text string) error {
	bad := func(format string, args ...any) error {
		return refuse("InvalidParameter.PolicyDocumentError", format, args...)
	}
	if len(text) > maxCAMPolicy {
		return refuse("InvalidParameter.PolicyDocumentLengthOverLimit", "The policy document is too long.")
	}
	doc, err := parsePolicy(text, ofTrust)
	if err != nil {
		return bad("The policy document is malformed: %v.", err)
	}
	for _, st := range doc {
		oidc := false
		for _, p := range st.principals["federated"] {
			oidc = oidc || strings.Contains(p, ":oidc-provider/")
		}
		equal := make(map[string]bool)
		for _, c := range st.conditions {
			if c.op == "string_equal" && !c.negated && !c.ifExist {
				equal[c.key] = true
			}
			if len(c.values) > 10 && strings.HasPrefix(c.key, "oidc:") {
				return bad("More than 10 values for %s.", c.key)
			}
			if c.key == "oidc:sub" && c.op == "string_like" && a.s.unsure("subject-like") == "refuse" {
				for _, v := range c.values {
					if !plainSubject.MatchString(v) {
						return bad("string_like oidc:sub allows only letters, digits, - and _.")
					}
				}
			}
		}
		if oidc && !st.deny && (!equal["oidc:iss"] || !equal["oidc:aud"]) {
			return bad("oidc:iss and oidc:aud are required, with string_equal.")
		}
	}
	return nil
}

var plainSubject = regexp.MustCompile(`^\*?[A-Za-z0-9_-]*\*?$`)

func (a *access) callCreateRole(c *call) (map[string]any, error) {
	var in struct {
		RoleName, PolicyDocument, Description string
		ConsoleLogin, SessionDuration         int
		Tags                                  []struct{ Key, Value string }
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	id, err := a.createRole(in.RoleName, in.PolicyDocument, in.Description, in.SessionDuration)
	return map[string]any{"RoleId": id}, err
}

// A roleRef identifies a role by name or by id.
type roleRef struct {
	RoleName string
	RoleID   string `json:"RoleId"`
}

// role finds a role. The caller must hold a.mu.
func (a *access) role(name, id string) (*role, error) {
	for _, r := range a.roles {
		if name != "" && r.name == name || name == "" && r.id == id {
			return r, nil
		}
	}
	return nil, refuse("InvalidParameter.RoleNotExist", "The role does not exist.")
}

func (a *access) getRole(c *call) (map[string]any, error) {
	var in roleRef
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.role(in.RoleName, in.RoleID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"RoleInfo": map[string]any{
		"RoleId": r.id, "RoleName": r.name, "PolicyDocument": r.trust, "Description": r.description, "RoleType": "user",
		"AddTime": r.created.Format(time.DateTime), "UpdateTime": r.updated.Format(time.DateTime), "ConsoleLogin": 0,
		"SessionDuration": r.sessionDuration, "Tags": []any{}, "RoleArn": a.roleARN(r.name),
	}}, nil
}

func (a *access) deleteRole(c *call) (map[string]any, error) {
	var in roleRef
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.role(in.RoleName, in.RoleID)
	if err == nil {
		delete(a.roles, r.name)
	}
	return nil, err
}

func (a *access) updateAssumeRolePolicy(c *call) (map[string]any, error) {
	var in struct {
		roleRef
		PolicyDocument string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := a.checkTrust(in.PolicyDocument); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.role(in.RoleName, in.RoleID)
	if err == nil {
		r.trust, r.updated = in.PolicyDocument, a.s.o.Now()
	}
	return nil, err
}
