package costest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Provider is an OIDC issuer that roles can trust.
type Provider struct {
	Name      string   // the provider ID in STS
	Issuer    string   // the exact iss of its tokens
	Audiences []string // the accepted audiences
	// JWKS is the key set. If it is empty, discovery gets it when the first token arrives.
	JWKS []byte
	// Client fetches key sets; nil is a client of its own with ten seconds.
	Client *http.Client
}

// access is CAM and STS: who there is, and what he may do.
type access struct {
	s *Server

	mu          sync.Mutex
	providers   map[string]*provider
	roles       map[string]*role      // by name
	policies    map[string]*camPolicy // by name
	credentials map[string]credential // temporary ones, by key id
	lastRole    int                   // roles have long ids, policies such as a double can hold
	lastPolicy  int
	second      int64 // the last one in which a token came
	exchanges   int   // how many did in it
}

type provider struct {
	Provider
	description string
	rotate      bool // CAM fetches new keys itself
	keys        []verificationKey
}

type role struct {
	id, name, trust  string
	description      string
	sessionDuration  int
	attached         []string // names of policies
	created, updated time.Time
}

type camPolicy struct {
	id                          int
	name, document, description string
	created                     time.Time
}

var accessQuestions = []Question{
	{"role-principal", "a role as principal of a bucket policy", []string{"refuse", "accept"}},
	{"negated-list", "a list of values under a negated operator", []string{"all-of", "any-of"}},
	{"action-wildcard", "* in an action beside a condition; the documents say that requests fail", []string{"fail", "evaluate"}},
	{"trust-action", "name/sts:AssumeRole in a trust of an OIDC provider", []string{"refuse", "allow"}},
	{"subject-like", "characters other than letters, digits, - and _ in string_like oidc:sub", []string{"refuse", "accept"}},
	{"resource-colon", "a : in the path of a resource", []string{"refuse", "accept"}},
	{"authorization-skip", "AssumeRoleWithWebIdentity without the header Authorization: SKIP", []string{"accept", "refuse"}},
	{"role-missing", "the code for a role that there is not", []string{"InternalError.GetRoleError", "ResourceNotFound.RoleNotFound"}},
	{"duration-cap", "a DurationSeconds above what the role gives", []string{"cap", "refuse"}},
	{"session-policy-limit", "bytes of a session policy, decoded", []string{"2048", "4096", "6144"}},
	{"rotate-key", "AutoRotateKey of CreateOIDCConfig", []string{"accept", "unknown"}},
	{"token-algorithm", "tokens signed with ES256", []string{"accept", "refuse"}},
	{"web-identity-rate", "calls of AssumeRoleWithWebIdentity in a second, before RequestLimitExceeded", []string{"unlimited", "20", "80"}},
}

func newAccess(s *Server) *access {
	return &access{
		s: s, providers: make(map[string]*provider), roles: make(map[string]*role),
		policies: make(map[string]*camPolicy), credentials: make(map[string]credential), lastRole: 4611686018427000000, lastPolicy: 26000000,
	}
}

func (a *access) credential(id string, _ time.Time) (credential, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.credentials[id]
	return c, ok
}

// policiesOf are the policies of a role as they are now: taking one away ends what
// sessions could do with it. The service takes about a minute for that.
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

// AddProvider creates an OIDC provider, like CreateOIDCConfig.
func (s *Server) AddProvider(p Provider) error {
	if err := s.access.createProvider(&provider{Provider: p, rotate: true}); err != nil {
		return fmt.Errorf("costest: %w", err)
	}
	return nil
}

// AddRole creates a role with its trust policy and, unless policy is empty, a policy of the same name. It
// returns qcs::cam::uin/UIN:roleName/NAME. If CAM would refuse a document, AddRole returns an error and
// creates nothing.
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

// ProviderARN returns the name of a provider in a trust policy.
func (s *Server) ProviderARN(name string) string {
	return "qcs::cam::uin/" + s.o.OwnerUin + ":oidc-provider/" + name
}

func (a *access) roleARN(name string) string {
	return "qcs::cam::uin/" + a.s.o.OwnerUin + ":roleName/" + name
}

var (
	camName      = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	providerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

// The limits of CAM (598/10596).
const (
	maxCAMPolicy = 6144 // characters of a policy
	maxRoles     = 1000 // of an account
	maxAttached  = 200  // policies of a role
)

func (a *access) createProvider(p *provider) error {
	if !providerName.MatchString(p.Name) || len(p.Audiences) == 0 {
		return refuse("InvalidParameter.ParamError", "Name or ClientId is missing or malformed.")
	}
	if !strings.HasPrefix(p.Issuer, "https://") && !strings.HasPrefix(p.Issuer, "http://127.0.0.1") && !strings.HasPrefix(p.Issuer, "http://localhost") {
		return refuse("InvalidParameterValue.IdentityUrlError", "IdentityUrl must be https.")
	}
	if len(p.JWKS) > 0 {
		keys, err := parseKeys(p.JWKS)
		if err != nil {
			return refuse("InvalidParameterValue.IdentityKeyError", "IdentityKey: %v.", err)
		}
		p.keys = keys
	}
	if p.Client == nil {
		p.Client = &http.Client{Timeout: 10 * time.Second}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.providers[p.Name] != nil {
		return refuse("InvalidParameter.IdentityNameInUse", "The name %s is in use.", p.Name)
	}
	a.providers[p.Name] = p
	return nil
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

// checkTrust reports whether a trust policy can be stored. For an OIDC provider it has to
// compare oidc:iss and oidc:aud by string_equal; oidc:sub may be left out, which opens
// the role to every token of the issuer.
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
						return bad("string_like oidc:sub takes letters, digits, - and _ only.")
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

// serveCAM answers POST / of CAM. Only the owner's own key is taken.
func (s *Server) serveCAM(w http.ResponseWriter, r *http.Request) {
	s.serveCall(w, r, "cam", "2019-01-16", func(c *call) (map[string]any, error) {
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if !c.caller.root {
			return nil, refuse("AuthFailure.UnauthorizedOperation", "You are not authorized to perform this operation.")
		}
		do, ok := camActions[c.action]
		if !ok {
			return nil, refuse("InvalidAction", "costest does not know %s.", c.action)
		}
		return do(s.access, c)
	})
}

// camActions are the calls of CAM that there are.
var camActions = map[string]func(*access, *call) (map[string]any, error){
	"CreateOIDCConfig": (*access).putOIDCConfig, "UpdateOIDCConfig": (*access).putOIDCConfig,
	"DescribeOIDCConfig": (*access).describeOIDCConfig, "DeleteOIDCConfig": (*access).deleteOIDCConfig,
	"CreateRole": (*access).callCreateRole, "GetRole": (*access).getRole, "DeleteRole": (*access).deleteRole,
	"UpdateAssumeRolePolicy": (*access).updateAssumeRolePolicy,
	"CreatePolicy":           (*access).callCreatePolicy, "GetPolicy": (*access).getPolicy, "GetPolicyVersion": (*access).getPolicyVersion,
	"UpdatePolicy": (*access).updatePolicy, "DeletePolicy": (*access).deletePolicy,
	"AttachRolePolicy": (*access).attachRolePolicy, "DetachRolePolicy": (*access).detachRolePolicy,
	"ListAttachedRolePolicies": (*access).listAttachedRolePolicies,
}

func (a *access) putOIDCConfig(c *call) (map[string]any, error) {
	var in struct {
		IdentityURL   string   `json:"IdentityUrl"`
		ClientID      []string `json:"ClientId"`
		Name          string
		IdentityKey   string
		Description   string
		AutoRotateKey *int
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.AutoRotateKey != nil && a.s.unsure("rotate-key") == "unknown" {
		return nil, refuse("UnknownParameter", "The parameter AutoRotateKey is not recognized.")
	}
	jwks, err := base64.StdEncoding.DecodeString(in.IdentityKey)
	if err != nil || len(jwks) == 0 {
		return nil, refuse("InvalidParameterValue.IdentityKeyError", "IdentityKey is missing, or not base64.")
	}
	p := &provider{
		Provider:    Provider{Name: in.Name, Issuer: in.IdentityURL, Audiences: in.ClientID, JWKS: jwks},
		description: in.Description, rotate: in.AutoRotateKey != nil && *in.AutoRotateKey == 1,
	}
	if c.action == "CreateOIDCConfig" {
		return nil, a.createProvider(p)
	}
	a.mu.Lock()
	old := a.providers[in.Name]
	delete(a.providers, in.Name)
	a.mu.Unlock()
	if old == nil {
		return nil, errNoIdentity
	}
	p.Client = old.Client
	if in.AutoRotateKey == nil {
		p.rotate = old.rotate
	}
	err = a.createProvider(p)
	if err != nil {
		a.mu.Lock()
		a.providers[in.Name] = old
		a.mu.Unlock()
	}
	return nil, err
}

var errNoIdentity = refuse("ResourceNotFound.IdentityNotExist", "The identity provider does not exist.")

type byName struct{ Name string }

func (a *access) describeOIDCConfig(c *call) (map[string]any, error) {
	var in byName
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.providers[in.Name]
	if p == nil {
		return nil, errNoIdentity
	}
	rotate := 0
	if p.rotate {
		rotate = 1
	}
	return map[string]any{
		"ProviderType": 11, "IdentityUrl": p.Issuer, "IdentityKey": base64.StdEncoding.EncodeToString(p.JWKS), "ClientId": p.Audiences,
		"Status": 11, "Description": p.description, "Name": p.Name, "AutoRotateKey": rotate,
	}, nil
}

func (a *access) deleteOIDCConfig(c *call) (map[string]any, error) {
	var in byName
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.providers[in.Name] == nil {
		return nil, errNoIdentity
	}
	delete(a.providers, in.Name)
	return nil, nil
}

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

// A roleRef names a role by name or by id.
type roleRef struct {
	RoleName string
	RoleID   string `json:"RoleId"`
}

// role finds a role. a.mu is held.
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

// policy finds a policy by its name, or by its id. a.mu is held.
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

// claimsOf verifies a token as CAM does for one of its providers.
func (a *access) claimsOf(ctx context.Context, providerName, token string) (claims, string, error) {
	bad := func(reason string) (claims, string, error) {
		return claims{}, "", refuse("InvalidParameter.WebIdentityTokenError", "WebIdentityToken error. | id token error | %s", reason)
	}
	a.mu.Lock()
	p := a.providers[providerName]
	var keys []verificationKey
	if p != nil {
		keys = p.keys
	}
	a.mu.Unlock()
	if p == nil {
		return bad("Unknown provider")
	}
	algorithms := []string{"RS256", "ES256"}
	if a.s.unsure("token-algorithm") == "refuse" {
		algorithms = algorithms[:1]
	}
	c, err := verify(token, keys, algorithms...)
	if errors.Is(err, errNoKey) && p.rotate { // a bad signature by a key that is known is no reason to ask
		var jwks []byte
		if jwks, err = discover(ctx, p.Client, p.Issuer); err == nil {
			if keys, err = parseKeys(jwks); err == nil {
				a.mu.Lock()
				p.keys = keys
				a.mu.Unlock()
				c, err = verify(token, keys, algorithms...)
			}
		}
	}
	if err != nil {
		return bad(err.Error())
	}
	now := float64(a.s.o.Now().UnixNano()) / 1e9
	switch {
	case c.Expires == nil || *c.Expires <= now:
		return bad("Expired token")
	case c.NotBefore != nil && *c.NotBefore > now:
		return bad("Token used before issued")
	case c.Issuer != p.Issuer:
		return bad("Issuer mismatch")
	}
	for _, audience := range c.Audiences {
		if slices.Contains(p.Audiences, audience) {
			return c, audience, nil
		}
	}
	return bad("Audience mismatch")
}
