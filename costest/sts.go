package costest

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The lifetime of temporary credentials in seconds (1150/49454).
const (
	usualDuration = 7200
	maxDuration   = 43200

	usualFederation = 1800
	maxFederation   = 7200 // for the root account
)

// serveSTS handles POST / of STS.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request) {
	s.serveCall(w, r, "sts", "2018-08-13", func(c *call) (map[string]any, error) {
		if c.action == "AssumeRoleWithWebIdentity" {
			return s.access.assumeWithToken(c)
		}
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.require("X-TC-Region"); err != nil {
			return nil, err
		}
		switch c.action {
		case "AssumeRole":
			return s.access.assume(c)
		case "GetFederationToken":
			return s.access.federate(c)
		case "GetCallerIdentity":
			return s.access.identify(c)
		}
		return nil, refuse("InvalidAction", "costest does not know %s.", c.action)
	})
}

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,128}$`)

// assumeWithToken implements AssumeRoleWithWebIdentity, the only call without a signature.
func (a *access) assumeWithToken(c *call) (map[string]any, error) {
	switch h := c.r.Header.Get("Authorization"); {
	case h != "" && h != "SKIP", h == "" && a.s.unsure("authorization-skip") == "refuse":
		return nil, refuse("AuthFailure.SignatureFailure", "The call is not signed: Authorization is SKIP.")
	case a.tooMany():
		return nil, refuse("RequestLimitExceeded", "The request rate is over the limit.")
	}
	// Only Authorization and X-TC-Token may be missing from an unsigned call (1150/49454).
	if err := c.require("X-TC-Region", "X-TC-Timestamp"); err != nil {
		return nil, err
	}
	var in struct {
		ProviderID       string `json:"ProviderId"`
		WebIdentityToken string
		RoleArn          string
		RoleSessionName  string
		DurationSeconds  *int
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.ProviderID == "" || in.WebIdentityToken == "" || in.RoleArn == "" || !sessionName.MatchString(in.RoleSessionName) {
		return nil, refuse("InvalidParameter.ParamError", "ProviderId, WebIdentityToken, RoleArn or RoleSessionName is missing or malformed.")
	}
	token, audience, err := a.claimsOf(c.r.Context(), in.ProviderID, in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	r, err := a.roleByARN(in.RoleArn)
	if err != nil {
		return nil, err
	}
	conditions := map[string]string{"oidc:iss": token.Issuer, "oidc:aud": audience, "oidc:sub": token.Subject}
	principal := a.s.ProviderARN(in.ProviderID)
	actions := []string{"name/sts:AssumeRoleWithWebIdentity"}
	if a.s.unsure("trust-action") == "allow" {
		actions = append(actions, "name/sts:AssumeRole")
	}
	if !a.trusts(r, actions, "federated", []string{principal}, conditions) {
		return nil, refuse("UnauthorizedOperation", "The operation sts:AssumeRoleWithWebIdentity has no permission. (oidc:sub: %s)", token.Subject)
	}
	duration, err := a.duration(in.DurationSeconds, r)
	if err != nil {
		return nil, err
	}
	return a.issue(caller{uin: a.s.o.OwnerUin, roleID: r.id, roleName: r.name, session: in.RoleSessionName}, duration), nil
}

// tooMany counts a token exchange, and reports whether the limit per second is exceeded.
func (a *access) tooMany() bool {
	limit, err := strconv.Atoi(a.s.unsure("web-identity-rate"))
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.s.o.Now().Unix(); now != a.second {
		a.second, a.exchanges = now, 0
	}
	a.exchanges++
	return a.exchanges > limit
}

// assume implements AssumeRole. It requires a signature. A session policy restricts the permissions
// of the role.
func (a *access) assume(c *call) (map[string]any, error) {
	var in struct {
		RoleArn, RoleSessionName string
		DurationSeconds          *int
		Policy                   string
		ExternalID               string `json:"ExternalId"`
		Tags                     []struct{ Key, Value string }
		SourceIdentity           string
		SerialNumber, TokenCode  string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.RoleArn == "" || !sessionName.MatchString(in.RoleSessionName) || len(in.Tags) > 50 {
		return nil, refuse("InvalidParameter.ParamError", "RoleArn, RoleSessionName or Tags is missing or malformed.")
	}
	r, err := a.roleByARN(in.RoleArn)
	if err != nil {
		return nil, err
	}
	policy, err := a.sessionPolicy(in.Policy)
	if err != nil {
		return nil, err
	}
	account := "qcs::cam::uin/" + c.caller.uin + ":"
	names := []string{account + "root", account + "uin/" + c.caller.uin}
	allowed := c.caller.root
	if c.caller.roleID != "" {
		names = []string{account + "roleName/" + c.caller.roleName, account + "role/" + c.caller.roleID, account + "root"}
		allowed = a.authorize(c.caller, accessRequest{action: "name/sts:AssumeRole", resource: a.roleARN(r.name)}) == nil
	}
	if !allowed || !a.trusts(r, []string{"name/sts:AssumeRole"}, "qcs", names, nil) {
		return nil, refuse("UnauthorizedOperation", "The operation sts:AssumeRole has no permission.")
	}
	duration, err := a.duration(in.DurationSeconds, r)
	if err != nil {
		return nil, err
	}
	return a.issue(caller{uin: a.s.o.OwnerUin, roleID: r.id, roleName: r.name, session: in.RoleSessionName, sessionPolicy: policy}, duration), nil
}

// federate implements GetFederationToken. The credentials have the permissions of the owner,
// restricted by a policy.
func (a *access) federate(c *call) (map[string]any, error) {
	var in struct {
		Name, Policy    string
		DurationSeconds *int
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if !c.caller.root {
		return nil, refuse("FailedOperation.TempKeyNotAllowed", "A temporary key gets no federation token.")
	}
	policy, err := a.sessionPolicy(in.Policy)
	if err != nil {
		return nil, err
	}
	seconds := usualFederation
	if in.DurationSeconds != nil {
		seconds = *in.DurationSeconds
	}
	if in.Name == "" || policy == "" || seconds < 1 || seconds > maxFederation {
		return nil, refuse("InvalidParameter.ParamError", "Name, Policy or DurationSeconds is missing or malformed.")
	}
	return a.issue(caller{uin: a.s.o.OwnerUin, session: in.Name, sessionPolicy: policy}, seconds), nil
}

// identify implements GetCallerIdentity.
func (a *access) identify(c *call) (map[string]any, error) {
	if err := c.decode(new(struct{})); err != nil {
		return nil, err
	}
	uin := c.caller.uin
	switch {
	case c.caller.roleID != "":
		return map[string]any{
			"Arn": "qcs::sts:" + uin + ":assumed-role/" + c.caller.roleID, "AccountId": uin, "Type": "CAMRole",
			"UserId": c.caller.roleID + ":" + c.caller.session, "PrincipalId": uin,
		}, nil
	case c.caller.root:
		return map[string]any{"Arn": "qcs::cam::uin/" + uin + ":uin/" + uin, "AccountId": uin, "Type": "CAMUser", "UserId": uin, "PrincipalId": uin}, nil
	}
	return map[string]any{
		"Arn": "qcs::sts:" + uin + ":federated-user/" + uin, "AccountId": uin, "Type": "FederatedUser",
		"UserId": uin + ":" + c.caller.session, "PrincipalId": uin,
	}, nil
}

// sessionPolicy decodes the URL-encoded field Policy.
func (a *access) sessionPolicy(encoded string) (string, error) {
	if encoded == "" {
		return "", nil
	}
	text, err := url.PathUnescape(encoded)
	if err != nil || strings.HasPrefix(strings.TrimSpace(encoded), "{") {
		return "", refuse("InvalidParameter.StrategyFormatError", "Policy is not URL-encoded.")
	}
	if limit, _ := strconv.Atoi(a.s.unsure("session-policy-limit")); len(text) > limit {
		return "", refuse("InvalidParameter.PolicyTooLong", "Policy is longer than %d bytes.", limit)
	}
	if _, err := parsePolicy(text, ofIdentity); err != nil {
		return "", refuse("InvalidParameter.StrategyInvalid", "Policy is invalid: %v.", err)
	}
	return text, nil
}

// roleByARN accepts qcs::cam::uin/UIN:roleName/NAME and …:role/ID. It returns a copy.
func (a *access) roleByARN(arn string) (role, error) {
	rest, ok := strings.CutPrefix(arn, "qcs::cam::uin/"+a.s.o.OwnerUin+":")
	kind, name, _ := strings.Cut(rest, "/")
	if !ok || kind != "roleName" && kind != "role" {
		return role{}, refuse("InvalidParameter.ParamError", "RoleArn is malformed, or of another account.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.roles {
		if kind == "roleName" && r.name == name || kind == "role" && r.id == name {
			return *r, nil
		}
	}
	return role{}, refuse(a.s.unsure("role-missing"), "The role does not exist.")
}

// trusts reports whether the trust policy of a role allows one of names to assume it with one of
// the actions.
func (a *access) trusts(r role, actions []string, kind string, names []string, conditions map[string]string) bool {
	doc, err := parsePolicy(r.trust, ofTrust)
	if err != nil {
		return false
	}
	allowed, denied := false, false
	for _, action := range actions {
		yes, no := a.s.evaluate(doc, accessRequest{action: action, conditions: conditions}, func(st policyStatement) bool {
			return st.deny && isAnyone(st.principals) || slices.ContainsFunc(st.principals[kind], func(p string) bool { return slices.Contains(names, p) })
		})
		allowed, denied = allowed || yes, denied || no
	}
	return allowed && !denied
}

// duration returns the lifetime of a session of a role.
func (a *access) duration(requested *int, r role) (int, error) {
	seconds, most := usualDuration, cmp.Or(r.sessionDuration, maxDuration)
	if requested != nil {
		seconds = *requested
	}
	switch {
	case seconds < 1 || seconds > maxDuration:
		return 0, refuse("InvalidParameter.OverLimit", "DurationSeconds is not between 1 and %d.", maxDuration)
	case seconds > most && requested != nil && a.s.unsure("duration-cap") == "refuse":
		return 0, refuse("InvalidParameter.OverTimeError", "DurationSeconds is more than the role's %d.", most)
	}
	return min(seconds, most), nil
}

// issue creates temporary credentials. It deletes those that expired more than a day ago.
func (a *access) issue(who caller, seconds int) map[string]any {
	now := a.s.o.Now()
	expires := now.Add(time.Duration(seconds) * time.Second).Truncate(time.Second)
	who.keyID = "AKID" + rand.Text() + rand.Text()
	c := credential{keyID: who.keyID, secret: rand.Text() + rand.Text(), token: rand.Text() + rand.Text() + rand.Text(), expires: expires, caller: who}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, old := range a.credentials {
		if old.expires.Before(now.AddDate(0, 0, -1)) {
			delete(a.credentials, id)
		}
	}
	a.credentials[c.keyID] = c
	return map[string]any{
		"ExpiredTime": expires.Unix(), "Expiration": expires.UTC().Format(time.RFC3339),
		"Credentials": map[string]string{"Token": c.token, "TmpSecretId": c.keyID, "TmpSecretKey": c.secret},
	}
}
