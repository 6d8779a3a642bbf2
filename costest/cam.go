package costest

import (
	"net/http"
	"regexp"
	"sync"
	"time"
)

// access implements CAM and STS: roles, policies and temporary credentials.
type access struct {
	s *Server

	mu          sync.Mutex
	providers   map[string]*provider
	roles       map[string]*role      // by name
	policies    map[string]*camPolicy // by name
	credentials map[string]credential // temporary credentials, by key id
	lastRole    int                   // role ids are long; a float64 can represent policy ids
	lastPolicy  int
	second      int64 // the second of the latest token exchange
	exchanges   int   // the number of exchanges in that second
}

var accessQuestions = []Question{
	{"role-principal", "a role as the principal of a bucket policy", []string{"refuse", "accept"}},
	{"negated-list", "a negated operator with a list of values", []string{"all-of", "any-of"}},
	{"action-wildcard", "a statement with a condition and a * in an action; the documentation says that requests fail", []string{"fail", "evaluate"}},
	{"trust-action", "name/sts:AssumeRole in a trust policy for an OIDC provider", []string{"refuse", "allow"}},
	{"subject-like", "characters other than letters, digits, - and _ in string_like oidc:sub", []string{"refuse", "accept"}},
	{"resource-colon", "a colon in the path of a resource", []string{"refuse", "accept"}},
	{"authorization-skip", "AssumeRoleWithWebIdentity without the header Authorization: SKIP", []string{"accept", "refuse"}},
	{"role-missing", "the error code for a missing role", []string{"InternalError.GetRoleError", "ResourceNotFound.RoleNotFound"}},
	{"duration-cap", "a DurationSeconds above the maximum of the role", []string{"cap", "refuse"}},
	{"session-policy-limit", "the limit in bytes for a decoded session policy", []string{"2048", "4096", "6144"}},
	{"rotate-key", "the parameter AutoRotateKey of CreateOIDCConfig", []string{"accept", "unknown"}},
	{"token-algorithm", "tokens signed with ES256", []string{"accept", "refuse"}},
	{"web-identity-rate", "the number of calls of AssumeRoleWithWebIdentity per second before RequestLimitExceeded", []string{"unlimited", "20", "80"}},
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

var (
	camName      = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,128}$`)
	providerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

// The limits of CAM (598/10596).
const (
	maxCAMPolicy = 6144 // characters of a policy
	maxRoles     = 1000 // roles of an account
	maxAttached  = 200  // policies of a role
)

// serveCAM handles POST / of CAM. Only the owner's permanent key may call it.
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

// camActions are the implemented calls of CAM.
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
