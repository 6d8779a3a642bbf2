package costest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

type camPolicy struct {
	id                          int
	name, document, description string
	created                     time.Time
}

// policiesOf returns the current policies of a role. After a policy is detached, existing sessions
// lose its permissions, too. In the service this takes about a minute.
func (a *access) policiesOf(roleID string) []policyDoc {
	a.mu.Lock()
	defer a.mu.Unlock()
	var docs []policyDoc
	for _, r := range a.roles {
		if r.id != roleID {
			continue
		}
		for _, name := range r.attached {
			if doc, err := parsePolicy(a.policies[name].document, ofIdentity); err == nil {
				docs = append(docs, doc)
			}
		}
	}
	return docs
}

func (a *access) createPolicy(name, document, description string) (id int, err error) {
	if !camName.MatchString(name) {
		return 0, refuse("InvalidParameter.ParamError", "PolicyName is malformed.")
	}
	if err := a.checkDocument(document); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.policies[name] != nil {
		return 0, refuse("FailedOperation.PolicyNameInUse", "The policy name %s is in use.", name)
	}
	a.lastPolicy++
	a.policies[name] = &camPolicy{id: a.lastPolicy, name: name, document: document, description: description, created: a.s.o.Now()}
	return a.lastPolicy, nil
}

func (a *access) checkDocument(document string) error {
	if len(document) > maxCAMPolicy {
		return refuse("InvalidParameter.PolicyDocumentLengthOverLimit", "The policy document has more than %d characters.", maxCAMPolicy)
	}
	doc, err := parsePolicy(document, ofIdentity)
	if err != nil {
		return refuse("InvalidParameter.PolicyDocumentError", "The policy document is malformed: %v.", err)
	}
	for _, st := range doc {
		for _, r := range st.resources {
			parts := strings.SplitN(r, ":", 6)
			if r != "*" && (len(parts) != 6 || parts[0] != "qcs") {
				return refuse("InvalidParameter.PolicyDocumentError", "The resource %q has no six segments.", r)
			}
			if len(parts) == 6 && strings.Contains(parts[5], ":") && a.s.unsure("resource-colon") == "refuse" {
				return refuse("InvalidParameter.PolicyDocumentError", "The resource %q has more than six segments.", r)
			}
		}
	}
	return nil
}

func (a *access) attach(roleName, policyName string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, p := a.roles[roleName], a.policies[policyName]
	switch {
	case r == nil:
		return refuse("InvalidParameter.RoleNotExist", "The role does not exist.")
	case p == nil:
		return refuse("ResourceNotFound.PolicyIdNotFound", "The policy does not exist.")
	case slices.Contains(r.attached, policyName):
	case len(r.attached) == maxAttached:
		return refuse("InvalidParameter.AttachmentFull", "The role has %d policies.", maxAttached)
	default:
		r.attached = append(r.attached, policyName)
	}
	return nil
}

func (a *access) callCreatePolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyName, PolicyDocument, Description string
		Tags                                    []struct{ Key, Value string }
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	id, err := a.createPolicy(in.PolicyName, in.PolicyDocument, in.Description)
	return map[string]any{"PolicyId": id}, err
}

// policy finds a policy by its name or its id. The caller must hold a.mu.
func (a *access) policy(name string, id int) (*camPolicy, error) {
	for _, p := range a.policies {
		if name != "" && p.name == name || name == "" && p.id == id {
			return p, nil
		}
	}
	return nil, refuse("ResourceNotFound.PolicyIdNotFound", "The policy does not exist.")
}

func (a *access) getPolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyID int `json:"PolicyId"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.policy("", in.PolicyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"PolicyName": p.name, "PolicyDocument": p.document, "Description": p.description, "Type": 1, "AddTime": p.created.Format(time.DateTime)}, nil
}

func (a *access) getPolicyVersion(c *call) (map[string]any, error) {
	var in struct {
		PolicyID  int `json:"PolicyId"`
		VersionID int `json:"VersionId"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.policy("", in.PolicyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"PolicyVersion": map[string]any{"VersionId": cmp.Or(in.VersionID, 1), "IsDefaultVersion": 1, "Document": p.document}}, nil
}

func (a *access) updatePolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyID                                int `json:"PolicyId"`
		PolicyName, PolicyDocument, Description string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := a.checkDocument(in.PolicyDocument); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.policy(in.PolicyName, in.PolicyID)
	if err != nil {
		return nil, err
	}
	p.document = in.PolicyDocument
	return map[string]any{"PolicyId": p.id}, nil
}

func (a *access) deletePolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyID []int `json:"PolicyId"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range in.PolicyID {
		p, err := a.policy("", id)
		if err != nil {
			return nil, err
		}
		delete(a.policies, p.name)
		for _, r := range a.roles {
			r.attached = slices.DeleteFunc(r.attached, func(n string) bool { return n == p.name })
		}
	}
	return nil, nil
}

func (a *access) attachRolePolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyID       int    `json:"PolicyId"`
		AttachRoleID   string `json:"AttachRoleId"`
		AttachRoleName string
		PolicyName     string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	r, err := a.role(in.AttachRoleName, in.AttachRoleID)
	p, perr := a.policy(in.PolicyName, in.PolicyID)
	a.mu.Unlock()
	if err = cmp.Or(err, perr); err != nil {
		return nil, err
	}
	return nil, a.attach(r.name, p.name)
}

func (a *access) detachRolePolicy(c *call) (map[string]any, error) {
	var in struct {
		PolicyID       int    `json:"PolicyId"`
		DetachRoleID   string `json:"DetachRoleId"`
		DetachRoleName string
		PolicyName     string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.role(in.DetachRoleName, in.DetachRoleID)
	p, perr := a.policy(in.PolicyName, in.PolicyID)
	if err = cmp.Or(err, perr); err != nil {
		return nil, err
	}
	r.attached = slices.DeleteFunc(r.attached, func(n string) bool { return n == p.name })
	return nil, nil
}

func (a *access) listAttachedRolePolicies(c *call) (map[string]any, error) {
	var in struct {
		roleRef
		Page, Rp   int
		PolicyType string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Page < 1 || in.Rp < 1 || in.Rp > 200 {
		return nil, refuse("InvalidParameter.ParamError", "Page counts from 1, and Rp is at most 200.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.role(in.RoleName, in.RoleID)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, name := range r.attached {
		if in.PolicyType != "QCS" {
			list = append(list, map[string]any{"PolicyId": a.policies[name].id, "PolicyName": name, "PolicyType": "User", "Deactived": 0, "AddTime": a.policies[name].created.Format(time.DateTime)})
		}
	}
	total := len(list)
	from := min((in.Page-1)*in.Rp, total)
	return map[string]any{"List": list[from:min(from+in.Rp, total)], "TotalNum": total}, nil
}
