package costest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// The test sets the time of a movingClock.
type movingClock struct {
	mu sync.Mutex
	t  time.Time
}

func newMovingClock() *movingClock { return &movingClock{t: time.Now()} }

func (c *movingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *movingClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newIssuer(t testing.TB, o *testcloud.IssuerOptions) *testcloud.Issuer {
	i := testcloud.NewIssuer(o)
	t.Cleanup(func() { i.Close() })
	return i
}

// An accessKey signs requests.
type accessKey struct{ ID, Secret, Token string }

func ownerKey(s *costest.Server) accessKey { return accessKey{ID: s.SecretID(), Secret: s.SecretKey()} }

// ask sends a call to STS, CAM or KMS as documented, signed by k unless k is empty, and returns the
// Response. change may modify the request.
func ask(t testing.TB, s *costest.Server, now time.Time, k accessKey, service, action string, in any, change func(*http.Request)) map[string]any {
	t.Helper()
	body, err := json.Marshal(in)
	check(t, err)
	version := map[string]string{"sts": "2018-08-13", "cam": "2019-01-16", "kms": "2019-01-18"}[service]
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+service+".tencentcloudapi.com/", bytes.NewReader(body))
	check(t, err)
	if strings.HasPrefix(s.URL(), "http:") {
		req.URL.Scheme = "http"
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-TC-Action", action)
	req.Header.Set("X-TC-Version", version)
	req.Header.Set("X-TC-Region", "ap-guangzhou")
	req.Header.Set("X-TC-Timestamp", fmt.Sprint(now.Unix()))
	req.Header.Set("Authorization", "SKIP")
	if k.ID != "" {
		if k.Token != "" {
			req.Header.Set("X-TC-Token", k.Token)
		}
		date := now.UTC().Format("2006-01-02")
		hash := func(b string) string { s := sha256.Sum256([]byte(b)); return hex.EncodeToString(s[:]) }
		mac := func(key, msg string) string {
			h := hmac.New(sha256.New, []byte(key))
			h.Write([]byte(msg))
			return string(h.Sum(nil))
		}
		canonical := "POST\n/\n\ncontent-type:application/json\nhost:" + service + ".tencentcloudapi.com\n\ncontent-type;host\n" + hash(string(body))
		scope := date + "/" + service + "/tc3_request"
		toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", now.Unix(), scope, hash(canonical))
		signature := hex.EncodeToString([]byte(mac(mac(mac(mac("TC3"+k.Secret, date), service), "tc3_request"), toSign)))
		req.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+k.ID+"/"+scope+", SignedHeaders=content-type;host, Signature="+signature)
	}
	if change != nil {
		change(req)
	}
	resp, err := s.Client().Do(req)
	check(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	check(t, err)
	var out struct{ Response map[string]any }
	if err := json.Unmarshal(raw, &out); err != nil || resp.StatusCode != http.StatusOK || out.Response["RequestId"] == "" || out.Response["RequestId"] == nil {
		t.Fatalf("%s: %s %s", action, resp.Status, raw)
	}
	return out.Response
}

// callCode returns the error code of a response, or "".
func callCode(out map[string]any) string {
	e, _ := out["Error"].(map[string]any)
	code, _ := e["Code"].(string)
	return code
}

func wantCall(t testing.TB, what string, out map[string]any, want string) {
	t.Helper()
	if got := callCode(out); got != want {
		t.Errorf("%s: %q %v, want %q", what, got, out["Error"], want)
	}
}

// keyOf returns the temporary key in a response.
func keyOf(t testing.TB, out map[string]any) accessKey {
	t.Helper()
	c, ok := out["Credentials"].(map[string]any)
	if !ok {
		t.Fatalf("no credentials in %v", out)
	}
	return accessKey{ID: c["TmpSecretId"].(string), Secret: c["TmpSecretKey"].(string), Token: c["Token"].(string)}
}

const (
	ownerUin = "100000000001"
	roleARN  = "qcs::cam::uin/100000000001:roleName/"
)

// trustOf returns a trust policy for the tokens of one subject. If subject is empty, the policy has
// no oidc:sub.
func trustOf(issuer, audience, subject string) string {
	equal := map[string][]string{"oidc:iss": {issuer}, "oidc:aud": {audience}}
	if subject != "" {
		equal["oidc:sub"] = []string{subject}
	}
	return policyText(map[string]any{
		"effect": "allow", "action": []string{"name/sts:AssumeRoleWithWebIdentity"},
		"principal": map[string]any{"federated": []string{"qcs::cam::uin/" + ownerUin + ":oidc-provider/idp"}},
		"condition": map[string]any{"string_equal": equal},
	})
}

func policyText(statements ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"version": "2.0", "statement": statements})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// prefixPolicy returns a minimal role policy for one tenant.
func prefixPolicy(tenant string) string {
	const bucket = "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/"
	return policyText(
		map[string]any{"effect": "allow", "action": []string{"name/cos:GetObject", "name/cos:HeadObject", "name/cos:PutObject", "name/cos:DeleteObject"}, "resource": bucket + "bots/" + tenant + "/*"},
		map[string]any{"effect": "allow", "action": "name/cos:GetBucket", "resource": bucket + "*", "condition": map[string]any{"string_like": map[string]string{"cos:prefix": "bots%2F" + tenant + "%2F*"}}},
	)
}

// web returns the body of AssumeRoleWithWebIdentity.
func web(role, token string, more ...any) map[string]any {
	in := map[string]any{"ProviderId": "idp", "WebIdentityToken": token, "RoleArn": roleARN + role, "RoleSessionName": "bot-1"}
	for i := 0; i < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	return in
}

// federated starts a server with the provider idp and the roles of the tenants a and b.
func federated(t testing.TB, i *testcloud.Issuer, o *costest.Options) *costest.Server {
	t.Helper()
	s := start(t, o)
	check(t, s.AddProvider(costest.Provider{Name: "idp", Issuer: i.URL, Audiences: []string{"vault", "other"}}))
	for _, tenant := range []string{"a", "b"} {
		arn, err := s.AddRole("role-"+tenant, trustOf(i.URL, "vault", "bot:"+tenant), prefixPolicy(tenant))
		check(t, err)
		if arn != roleARN+"role-"+tenant {
			t.Errorf("arn %s", arn)
		}
	}
	return s
}

func bot(tenant string) testcloud.Claims {
	return testcloud.Claims{Subject: "bot:" + tenant, Audience: "vault"}
}

func TestWebIdentity(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256"} {
		i := newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg})
		s := federated(t, i, nil)
		now := time.Now()
		out := ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a")), "DurationSeconds", 900), nil)
		wantCall(t, alg, out, "")
		if expires := int64(out["ExpiredTime"].(float64)); expires < now.Unix()+899 || expires > time.Now().Unix()+910 || out["Expiration"] != time.Unix(expires, 0).UTC().Format(time.RFC3339) {
			t.Errorf("%s: %v, %v", alg, out["ExpiredTime"], out["Expiration"])
		}
		k := keyOf(t, out)
		c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
		put(t, c, "bots/a/x", "v")
		wantValue(t, c, "bots/a/x", "v")
		_, err := c.Object.Put(t.Context(), "bots/b/x", strings.NewReader("v"), nil)
		wantCode(t, "put of b", err, "403 AccessDenied")
	}
}

// TestWebIdentityRefused: the response to a refused call is a 200 with an error code, and without
// credentials.
func TestWebIdentityRefused(t *testing.T) {
	const tokenError = "InvalidParameter.WebIdentityTokenError"
	i, other := newIssuer(t, &testcloud.IssuerOptions{Algorithm: "RS256"}), newIssuer(t, nil)
	s := federated(t, i, nil)
	now := time.Now()
	good := i.Mint(bot("a"))
	for _, tc := range []struct {
		name   string
		in     map[string]any
		want   string
		change func(*http.Request)
	}{
		{"valid", web("role-a", good), "", nil},
		{"valid, no Authorization", web("role-a", good), "", func(r *http.Request) { r.Header.Del("Authorization") }},
		{"expired", web("role-a", i.MintExpired(bot("a"))), tokenError, nil},
		{"forged", web("role-a", i.MintForged(bot("a"))), tokenError, nil},
		{"unsigned", web("role-a", i.MintUnsigned(bot("a"))), tokenError, nil},
		{"tampered", web("role-a", testcloud.Tamper(i.Mint(bot("b")), func(c map[string]any) { c["sub"] = "bot:a" })), tokenError, nil},
		{"signed by another issuer", web("role-a", other.Mint(testcloud.Claims{Issuer: i.URL, Subject: "bot:a", Audience: "vault"})), tokenError, nil},
		{"name of another issuer", web("role-a", i.Mint(testcloud.Claims{Issuer: other.URL, Subject: "bot:a", Audience: "vault"})), tokenError, nil},
		{"wrong audience", web("role-a", i.Mint(testcloud.Claims{Subject: "bot:a", Audience: "sts.amazonaws.com"})), tokenError, nil},
		{"not yet valid", web("role-a", i.Mint(testcloud.Claims{Subject: "bot:a", Audience: "vault", NotBefore: now.Add(time.Minute)})), tokenError, nil},
		{"no expiry", web("role-a", i.Mint(testcloud.Claims{Subject: "bot:a", Audience: "vault", Extra: map[string]any{"exp": nil}})), tokenError, nil},
		{"not a token", web("role-a", "x.y"), tokenError, nil},
		{"audience of the provider, not of the role", web("role-a", i.Mint(testcloud.Claims{Subject: "bot:a", Audience: "other"})), "UnauthorizedOperation", nil},
		{"role of another tenant", web("role-b", good), "UnauthorizedOperation", nil},
		{"longer subject", web("role-a", i.Mint(bot("a2"))), "UnauthorizedOperation", nil},
		{"unknown provider", web("role-a", good, "ProviderId", "none"), tokenError, nil},
		{"unknown role", web("none", good), "InternalError.GetRoleError", nil},
		{"role of another account", web("role-a", good, "RoleArn", "qcs::cam::uin/100000000002:roleName/role-a"), "InvalidParameter.ParamError", nil},
		{"empty token", web("role-a", ""), "InvalidParameter.ParamError", nil},
		{"short session name", web("role-a", good, "RoleSessionName", "x"), "InvalidParameter.ParamError", nil},
		{"session name with a slash", web("role-a", good, "RoleSessionName", "a/b"), "InvalidParameter.ParamError", nil},
		{"duration too long", web("role-a", good, "DurationSeconds", 43201), "InvalidParameter.OverLimit", nil},
		{"duration of zero seconds", web("role-a", good, "DurationSeconds", 0), "InvalidParameter.OverLimit", nil},
		{"session policy, which is unsupported", web("role-a", good, "Policy", "%7B%7D"), "UnknownParameter", nil},
		{"tags, which are unsupported", web("role-a", good, "Tags", []any{}), "UnknownParameter", nil},
		{"invalid Authorization", web("role-a", good), "AuthFailure.SignatureFailure", func(r *http.Request) { r.Header.Set("Authorization", "TC3-HMAC-SHA256 x") }},
		{"no region", web("role-a", good), "MissingParameter", func(r *http.Request) { r.Header.Del("X-TC-Region") }},
		{"no time", web("role-a", good), "MissingParameter", func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }},
		{"another version", web("role-a", good), "NoSuchVersion", func(r *http.Request) { r.Header.Set("X-TC-Version", "2018-08-14") }},
		{"another action", web("role-a", good), "AuthFailure.SignatureFailure", func(r *http.Request) { r.Header.Set("X-TC-Action", "AssumeRoleWithSAML") }},
		{"another content type", web("role-a", good), "UnsupportedProtocol", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
	} {
		out := ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", tc.in, tc.change)
		wantCall(t, tc.name, out, tc.want)
		if (out["Credentials"] != nil) != (tc.want == "") {
			t.Errorf("%s: %v", tc.name, out)
		}
		if text := fmt.Sprint(out["Error"]); strings.Contains(text, good) {
			t.Errorf("%s: the token is in %s", tc.name, text)
		}
	}
}

// TestOpenRole: if the trust policy has no oidc:sub, every token of the issuer can assume the role.
// Tags in tokens do not isolate tenants.
func TestOpenRole(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	_, err := s.AddRole("shared", trustOf(i.URL, "vault", ""), policyText(map[string]any{
		"effect": "allow", "action": "name/cos:GetObject",
		"resource": []string{"qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/${qcs_principal_tag}/*", "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/open/*"},
	}))
	check(t, err)
	put(t, sdk(t, s, s.Bucket()), "bots/a/x", "v")
	put(t, sdk(t, s, s.Bucket()), "bots/${qcs_principal_tag}/x", "v")
	put(t, sdk(t, s, s.Bucket()), "open/x", "v")
	token := i.Mint(testcloud.Claims{Subject: "anybody", Audience: "vault", Tags: map[string]string{testcloud.WalletTag: "a"}})
	k := keyOf(t, ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("shared", token), nil))
	c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
	wantValue(t, c, "open/x", "v")
	for _, name := range []string{"bots/a/x", "bots/${qcs_principal_tag}/x"} {
		_, err = c.Object.Get(t.Context(), name, nil)
		wantCode(t, name, err, "403 AccessDenied")
	}
}

// TestTrustDenies: a deny for anyone in a trust policy has priority over an allow for a provider.
func TestTrustDenies(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	trust := strings.Replace(trustOf(i.URL, "vault", "bot:a"), `"statement":[`,
		`"statement":[{"effect":"deny","action":"name/sts:AssumeRoleWithWebIdentity","principal":"*"},`, 1)
	_, err := s.AddRole("closed", trust, prefixPolicy("a"))
	check(t, err)
	wantCall(t, "assume", ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("closed", i.Mint(bot("a"))), nil), "UnauthorizedOperation")
}

// TestConditionKeys: a call has only the condition keys of its own kind.
func TestConditionKeys(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	when := func(action, operator, key, value string) map[string]any {
		return map[string]any{"effect": "allow", "action": "name/cos:" + action, "resource": "*", "condition": map[string]any{operator: map[string]any{key: value}}}
	}
	_, err := s.AddRole("keys", trustOf(i.URL, "vault", "bot:a"), policyText(
		when("GetObject", "string_like", "cos:prefix", "*"), when("HeadObject", "string_equal", "cos:versionid", ""), when("PutObject", "string_equal", "cos:versionid", ""),
	))
	check(t, err)
	put(t, sdk(t, s, s.Bucket()), "x", "v")
	k := keyOf(t, ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("keys", i.Mint(bot("a"))), nil))
	c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
	status, _, body := do(t, s, http.MethodGet, "/x?prefix=x", "", func(r *http.Request) {
		now := time.Now()
		cos.AddAuthorizationHeader(k.ID, k.Secret, k.Token, r, &cos.AuthTime{SignStartTime: now, SignEndTime: now.Add(time.Minute), KeyStartTime: now, KeyEndTime: now.Add(time.Minute)})
	})
	if status != http.StatusForbidden || !strings.Contains(body, "<Code>AccessDenied<") {
		t.Errorf("a prefix condition on an object: %d %s", status, body)
	}
	_, err = c.Object.Put(t.Context(), "x", strings.NewReader("v"), nil)
	wantCode(t, "a version condition on a write", err, "403 AccessDenied")
	if _, err = c.Object.Head(t.Context(), "x", nil); err != nil {
		t.Errorf("a version condition on a head: %v", err)
	}
}

func TestTemporaryKeys(t *testing.T) {
	time0 := newMovingClock()
	i := newIssuer(t, &testcloud.IssuerOptions{Now: time0.now})
	s := federated(t, i, &costest.Options{Now: time.Now, TLS: true})
	get := func(k accessKey) string {
		_, err := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token).Object.Head(t.Context(), "bots/a/x", nil)
		return code(err)
	}
	put(t, sdk(t, s, s.Bucket()), "bots/a/x", "v")
	one := keyOf(t, ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil))
	two := keyOf(t, ask(t, s, time.Now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil))
	for _, tc := range []struct {
		name string
		k    accessKey
		want string
	}{
		{"valid", one, "no error"},
		{"no token", accessKey{one.ID, one.Secret, ""}, "400"},
		{"another token", accessKey{one.ID, one.Secret, two.Token}, "400"},
		{"another secret", accessKey{one.ID, two.Secret, one.Token}, "403"},
		{"another id", accessKey{two.ID, one.Secret, one.Token}, "400"},
		{"owner's key with a token", accessKey{s.SecretID(), s.SecretKey(), one.Token}, "400"},
		{"unknown key", accessKey{"AKIDnone", one.Secret, one.Token}, "403"},
	} {
		if got := get(tc.k); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	// If a role loses a permission, its sessions also lose it.
	wantCall(t, "detach", ask(t, s, time.Now(), ownerKey(s), "cam", "DetachRolePolicy", map[string]any{"DetachRoleName": "role-a", "PolicyName": "role-a"}, nil), "")
	if got := get(one); got != "403" {
		t.Errorf("after the policy was detached: %s", got)
	}
	wantCall(t, "attach", ask(t, s, time.Now(), ownerKey(s), "cam", "AttachRolePolicy", map[string]any{"AttachRoleName": "role-a", "PolicyName": "role-a"}, nil), "")
	if got := get(one); got != "no error" {
		t.Errorf("after the policy was attached: %s", got)
	}
	s.ExpireKey(one.ID)
	if a, b := get(one), get(two); a != "400" || b != "no error" {
		t.Errorf("after one key expired: %s, %s", a, b)
	}
	wantCall(t, "an expired key at STS", ask(t, s, time.Now(), one, "sts", "GetCallerIdentity", map[string]any{}, nil), "AuthFailure.TokenFailure")
}

// TestExpiry: a key expires at the requested time, at most at the role's limit.
func TestExpiry(t *testing.T) {
	c := newMovingClock()
	i := newIssuer(t, &testcloud.IssuerOptions{Now: c.now})
	s := federated(t, i, &costest.Options{Now: c.now})
	wantCall(t, "create", ask(t, s, c.now(), ownerKey(s), "cam", "CreateRole", map[string]any{
		"RoleName": "short", "PolicyDocument": trustOf(i.URL, "vault", "bot:a"), "SessionDuration": 600}, nil), "")
	out := ask(t, s, c.now(), accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("short", i.Mint(bot("a")), "DurationSeconds", 3600), nil)
	if left := time.Unix(int64(out["ExpiredTime"].(float64)), 0).Sub(c.now()); left < 598*time.Second || left > 600*time.Second {
		t.Errorf("the key is valid for %v", left)
	}
	k := keyOf(t, out)
	who := func() map[string]any { return ask(t, s, c.now(), k, "sts", "GetCallerIdentity", map[string]any{}, nil) }
	c.advance(598 * time.Second)
	wantCall(t, "a second before", who(), "")
	c.advance(3 * time.Second)
	wantCall(t, "a second after", who(), "AuthFailure.TokenFailure")
}

func TestAssumeRole(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	now := time.Now()
	broker := func(principal string) string {
		return policyText(map[string]any{"effect": "allow", "action": "name/sts:AssumeRole", "principal": map[string]any{"qcs": principal}})
	}
	const bucket = "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/"
	all := policyText(map[string]any{"effect": "allow", "action": "name/cos:*", "resource": bucket + "*"},
		map[string]any{"effect": "deny", "action": "name/cos:DeleteObject", "resource": "*"})
	_, err := s.AddRole("broker", broker("qcs::cam::uin/"+ownerUin+":root"), all)
	check(t, err)
	_, err = s.AddRole("stranger", broker("qcs::cam::uin/100000000002:root"), all)
	check(t, err)
	session := func(text string) map[string]any {
		return map[string]any{"RoleArn": roleARN + "broker", "RoleSessionName": "bot-a", "Policy": url.PathEscape(text)}
	}
	ownPolicy := policyText(map[string]any{"effect": "allow", "action": []string{"name/cos:GetObject", "name/cos:PutObject", "name/cos:DeleteObject", "name/cos:HeadObject"}, "resource": bucket + "bots/a/*"})
	k := keyOf(t, ask(t, s, now, ownerKey(s), "sts", "AssumeRole", session(ownPolicy), nil))
	c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
	put(t, c, "bots/a/x", "v")
	_, err = c.Object.Put(t.Context(), "bots/b/x", strings.NewReader("v"), nil)
	wantCode(t, "outside the session", err, "403 AccessDenied")
	_, err = c.Object.Delete(t.Context(), "bots/a/x")
	wantCode(t, "denied to the role", err, "403 AccessDenied")
	whole := keyOf(t, ask(t, s, now, ownerKey(s), "sts", "AssumeRole", map[string]any{"RoleArn": roleARN + "broker", "RoleSessionName": "all"}, nil))
	put(t, sdkAs(t, s, s.Bucket(), whole.ID, whole.Secret, whole.Token), "bots/b/x", "v")

	// A temporary key may assume another role, if the policy of its own role allows this.
	_, err = s.AddRole("chained", broker("qcs::cam::uin/"+ownerUin+":root"), policyText(map[string]any{"effect": "allow", "action": "name/sts:AssumeRole", "resource": roleARN + "broker"}))
	check(t, err)
	chained := keyOf(t, ask(t, s, now, ownerKey(s), "sts", "AssumeRole", map[string]any{"RoleArn": roleARN + "chained", "RoleSessionName": "xx"}, nil))
	k = keyOf(t, ask(t, s, now, chained, "sts", "AssumeRole", session(ownPolicy), nil))
	put(t, sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token), "bots/a/y", "v")

	for _, tc := range []struct {
		name string
		k    accessKey
		in   map[string]any
		want string
	}{
		{"role that may assume only another role", chained, map[string]any{"RoleArn": roleARN + "chained", "RoleSessionName": "xx"}, "UnauthorizedOperation"},
		{"role that trusts another account", ownerKey(s), map[string]any{"RoleArn": roleARN + "stranger", "RoleSessionName": "xx"}, "UnauthorizedOperation"},
		{"role that trusts only tokens", ownerKey(s), map[string]any{"RoleArn": roleARN + "role-a", "RoleSessionName": "xx"}, "UnauthorizedOperation"},
		{"role without the permission", whole, map[string]any{"RoleArn": roleARN + "broker", "RoleSessionName": "xx"}, "UnauthorizedOperation"},
		{"session policy not URL-encoded", ownerKey(s), map[string]any{"RoleArn": roleARN + "broker", "RoleSessionName": "xx", "Policy": ownPolicy}, "InvalidParameter.StrategyFormatError"},
		{"session policy with a principal", ownerKey(s), session(broker("*")), "InvalidParameter.StrategyInvalid"},
		{"session policy too long", ownerKey(s), session(ownPolicy + strings.Repeat(" ", 2048)), "InvalidParameter.PolicyTooLong"},
		{"unsigned", accessKey{}, session(ownPolicy), "AuthFailure.SignatureFailure"},
	} {
		wantCall(t, tc.name, ask(t, s, now, tc.k, "sts", "AssumeRole", tc.in, nil), tc.want)
	}
}

func TestFederationToken(t *testing.T) {
	s := start(t, nil)
	now := time.Now()
	ownPolicy := policyText(map[string]any{"effect": "allow", "action": "name/cos:PutObject", "resource": "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/a/*"})
	k := keyOf(t, ask(t, s, now, ownerKey(s), "sts", "GetFederationToken", map[string]any{"Name": "a", "Policy": url.PathEscape(ownPolicy)}, nil))
	c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
	put(t, c, "bots/a/x", "v")
	_, err := c.Object.Put(t.Context(), "bots/b/x", strings.NewReader("v"), nil)
	wantCode(t, "outside", err, "403 AccessDenied")
	wantCall(t, "without a policy", ask(t, s, now, ownerKey(s), "sts", "GetFederationToken", map[string]any{"Name": "a"}, nil), "InvalidParameter.ParamError")
	wantCall(t, "by a temporary key", ask(t, s, now, k, "sts", "GetFederationToken", map[string]any{"Name": "a", "Policy": url.PathEscape(ownPolicy)}, nil), "FailedOperation.TempKeyNotAllowed")
}

func TestCallerIdentity(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	now := time.Now()
	role := ask(t, s, now, ownerKey(s), "cam", "GetRole", map[string]any{"RoleName": "role-a"}, nil)["RoleInfo"].(map[string]any)["RoleId"].(string)
	k := keyOf(t, ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("x", i.Mint(bot("a")), "RoleArn", "qcs::cam::uin/"+ownerUin+":role/"+role), nil))
	for _, tc := range []struct {
		k    accessKey
		want map[string]any
	}{
		{ownerKey(s), map[string]any{"Type": "CAMUser", "AccountId": ownerUin, "UserId": ownerUin, "Arn": "qcs::cam::uin/" + ownerUin + ":uin/" + ownerUin}},
		{k, map[string]any{"Type": "CAMRole", "AccountId": ownerUin, "UserId": role + ":bot-1", "PrincipalId": ownerUin, "Arn": "qcs::sts:" + ownerUin + ":assumed-role/" + role}},
	} {
		out := ask(t, s, now, tc.k, "sts", "GetCallerIdentity", map[string]any{}, nil)
		for name, want := range tc.want {
			if out[name] != want {
				t.Errorf("%s is %v, want %v", name, out[name], want)
			}
		}
	}
}

// TestAccessVariants: every variant of every question is implemented.
func TestAccessVariants(t *testing.T) {
	i := newIssuer(t, nil)
	now := time.Now()
	for _, tc := range []struct {
		question, variant string
		in                map[string]any
		change            func(*http.Request)
		want              string
	}{
		{"authorization-skip", "refuse", web("role-a", i.Mint(bot("a"))), func(r *http.Request) { r.Header.Del("Authorization") }, "AuthFailure.SignatureFailure"},
		{"role-missing", "ResourceNotFound.RoleNotFound", web("none", i.Mint(bot("a"))), nil, "ResourceNotFound.RoleNotFound"},
		{"token-algorithm", "refuse", web("role-a", i.Mint(bot("a"))), nil, "InvalidParameter.WebIdentityTokenError"},
		{"trust-action", "refuse", web("by-assume", i.Mint(bot("a"))), nil, "UnauthorizedOperation"},
		{"trust-action", "allow", web("by-assume", i.Mint(bot("a"))), nil, ""},
		{"duration-cap", "cap", web("short", i.Mint(bot("a")), "DurationSeconds", 601), nil, ""},
		{"duration-cap", "refuse", web("short", i.Mint(bot("a")), "DurationSeconds", 601), nil, "InvalidParameter.OverTimeError"},
	} {
		s := federated(t, i, &costest.Options{Unsure: map[string]string{tc.question: tc.variant}})
		_, err := s.AddRole("by-assume", strings.Replace(trustOf(i.URL, "vault", "bot:a"), "AssumeRoleWithWebIdentity", "AssumeRole", 1), "")
		check(t, err)
		wantCall(t, "create", ask(t, s, now, ownerKey(s), "cam", "CreateRole", map[string]any{
			"RoleName": "short", "PolicyDocument": trustOf(i.URL, "vault", "bot:a"), "SessionDuration": 600}, nil), "")
		wantCall(t, tc.question+" "+tc.variant, ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", tc.in, tc.change), tc.want)
	}
	_, err := costest.New(&costest.Options{Unsure: map[string]string{"role-missing": "x"}})
	if err == nil || !strings.Contains(err.Error(), `role-missing has no variant "x"`) {
		t.Errorf("%v", err)
	}
}
