package costest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// jwks returns the key set that an issuer publishes.
func jwks(t testing.TB, i *testcloud.Issuer) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// TestSetUpByAPI makes the calls of the commands from vault policy tencent, and reads the result.
func TestSetUpByAPI(t *testing.T) {
	i := newIssuer(t, nil)
	s := start(t, nil)
	now := time.Now()
	cam := func(action string, in map[string]any) map[string]any {
		t.Helper()
		out := ask(t, s, now, ownerKey(s), "cam", action, in, nil)
		wantCall(t, action, out, "")
		return out
	}
	key := base64.StdEncoding.EncodeToString(jwks(t, i))
	cam("CreateOIDCConfig", map[string]any{"Name": "idp", "IdentityUrl": i.URL, "ClientId": []string{"vault"}, "IdentityKey": key, "AutoRotateKey": 1})
	config := cam("DescribeOIDCConfig", map[string]any{"Name": "idp"})
	if config["IdentityUrl"] != i.URL || config["IdentityKey"] != key || config["ProviderType"] != 11.0 || config["Status"] != 11.0 || config["AutoRotateKey"] != 1.0 || fmt.Sprint(config["ClientId"]) != "[vault]" {
		t.Errorf("%v", config)
	}
	role := cam("CreateRole", map[string]any{"RoleName": "role-a", "PolicyDocument": trustOf(i.URL, "vault", "bot:a"), "Description": "d", "ConsoleLogin": 0})["RoleId"]
	policy := cam("CreatePolicy", map[string]any{"PolicyName": "policy-a", "PolicyDocument": prefixPolicy("a"), "Description": "d"})["PolicyId"]
	cam("AttachRolePolicy", map[string]any{"AttachRoleId": role, "PolicyId": policy})
	info := cam("GetRole", map[string]any{"RoleName": "role-a"})["RoleInfo"].(map[string]any)
	if info["RoleId"] != role || info["PolicyDocument"] != trustOf(i.URL, "vault", "bot:a") || info["RoleArn"] != roleARN+"role-a" {
		t.Errorf("%v", info)
	}
	list := cam("ListAttachedRolePolicies", map[string]any{"RoleId": role, "Page": 1, "Rp": 200})
	if list["TotalNum"] != 1.0 || list["List"].([]any)[0].(map[string]any)["PolicyName"] != "policy-a" {
		t.Errorf("%v", list)
	}
	if got := cam("GetPolicyVersion", map[string]any{"PolicyId": policy, "VersionId": 1})["PolicyVersion"].(map[string]any)["Document"]; got != prefixPolicy("a") {
		t.Errorf("%v", got)
	}
	if got := cam("GetPolicy", map[string]any{"PolicyId": policy})["PolicyDocument"]; got != prefixPolicy("a") {
		t.Errorf("%v", got)
	}

	k := keyOf(t, ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil))
	c := sdkAs(t, s, s.Bucket(), k.ID, k.Secret, k.Token)
	put(t, c, "bots/a/x", "v")
	cam("UpdatePolicy", map[string]any{"PolicyId": policy, "PolicyDocument": prefixPolicy("b")})
	put(t, c, "bots/b/x", "v")
	_, err := c.Object.Head(t.Context(), "bots/a/x", nil)
	wantCode(t, "after the update", err, "403")
	cam("UpdateAssumeRolePolicy", map[string]any{"RoleName": "role-a", "PolicyDocument": trustOf(i.URL, "vault", "bot:b")})
	wantCall(t, "the old subject", ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil), "UnauthorizedOperation")
	wantCall(t, "the new subject", ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("b"))), nil), "")
	cam("DetachRolePolicy", map[string]any{"DetachRoleName": "role-a", "PolicyId": policy})
	cam("DeletePolicy", map[string]any{"PolicyId": []any{policy}})
	cam("DeleteRole", map[string]any{"RoleName": "role-a"})
	_, err = c.Object.Head(t.Context(), "bots/b/x", nil)
	wantCode(t, "after the role was deleted", err, "403")
	cam("DeleteOIDCConfig", map[string]any{"Name": "idp"})
	wantCall(t, "after the provider was deleted", ask(t, s, now, ownerKey(s), "cam", "DescribeOIDCConfig", map[string]any{"Name": "idp"}, nil), "ResourceNotFound.IdentityNotExist")
}

// TestKeyRotation: CAM uses the keys of the configuration, unless it may fetch new ones.
func TestKeyRotation(t *testing.T) {
	i, old := newIssuer(t, nil), newIssuer(t, nil)
	s := start(t, nil)
	now := time.Now()
	config := map[string]any{"Name": "idp", "IdentityUrl": i.URL, "ClientId": []string{"vault"}, "IdentityKey": base64.StdEncoding.EncodeToString(jwks(t, old))}
	_, err := s.AddRole("role-a", trustOf(i.URL, "vault", "bot:a"), "")
	check(t, err)
	assume := func() map[string]any {
		return ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil)
	}
	wantCall(t, "create", ask(t, s, now, ownerKey(s), "cam", "CreateOIDCConfig", config, nil), "")
	wantCall(t, "the old keys", assume(), "InvalidParameter.WebIdentityTokenError")
	config["IdentityKey"] = base64.StdEncoding.EncodeToString(jwks(t, i))
	wantCall(t, "update", ask(t, s, now, ownerKey(s), "cam", "UpdateOIDCConfig", config, nil), "")
	wantCall(t, "the new keys", assume(), "")
	// The old key must have another id, because CAM does not fetch a key with a known id again.
	outdated := bytes.ReplaceAll(jwks(t, old), []byte(`"key-1"`), []byte(`"outdated"`))
	config["IdentityKey"], config["AutoRotateKey"] = base64.StdEncoding.EncodeToString(outdated), 1
	wantCall(t, "rotate", ask(t, s, now, ownerKey(s), "cam", "UpdateOIDCConfig", config, nil), "")
	wantCall(t, "fetched keys", assume(), "")
	config["Name"] = "none"
	wantCall(t, "no such provider", ask(t, s, now, ownerKey(s), "cam", "UpdateOIDCConfig", config, nil), "ResourceNotFound.IdentityNotExist")

	s = start(t, &costest.Options{Unsure: map[string]string{"rotate-key": "unknown"}})
	config["Name"] = "idp"
	wantCall(t, "unknown field", ask(t, s, now, ownerKey(s), "cam", "CreateOIDCConfig", config, nil), "UnknownParameter")
}

func TestCAMRefuses(t *testing.T) {
	i := newIssuer(t, nil)
	s := federated(t, i, nil)
	now := time.Now()
	good := trustOf(i.URL, "vault", "bot:a")
	edit := func(old, new string) string {
		if strings.Count(good, old) != 1 {
			t.Fatalf("%q occurs %d times in %s", old, strings.Count(good, old), good)
		}
		return strings.Replace(good, old, new, 1)
	}
	role := func(doc string) map[string]any { return map[string]any{"RoleName": "new", "PolicyDocument": doc} }
	policy := func(doc string) map[string]any { return map[string]any{"PolicyName": "new", "PolicyDocument": doc} }
	const malformed = "InvalidParameter.PolicyDocumentError"
	for _, tc := range []struct {
		name, action string
		in           map[string]any
		want         string
	}{
		{"existing role", "CreateRole", map[string]any{"RoleName": "role-a", "PolicyDocument": good}, "InvalidParameter.RoleNameInUse"},
		{"invalid role name", "CreateRole", map[string]any{"RoleName": "a/b", "PolicyDocument": good}, "InvalidParameter.ParamError"},
		{"trust policy without oidc:iss", "CreateRole", role(edit(`"oidc:iss":["`+i.URL+`"],`, "")), malformed},
		{"trust policy without oidc:aud", "CreateRole", role(edit(`"oidc:aud":["vault"],`, "")), malformed},
		{"trust policy with string_like only", "CreateRole", role(edit("string_equal", "string_like")), malformed},
		{"trust policy with a resource", "CreateRole", role(edit(`"effect":"allow"`, `"effect":"allow","resource":"*"`)), malformed},
		{"eleven subjects", "CreateRole", role(edit(`"bot:a"`, strings.Repeat(`"bot",`, 10)+`"bot"`)), malformed},
		{"subject pattern", "CreateRole", role(edit(`"condition":{`, `"condition":{"string_like":{"oidc:sub":"repo:acme/*"},`)), malformed},
		{"unknown operator", "CreateRole", role(edit("string_equal", "StringEquals")), malformed},
		{"unknown policy version", "CreateRole", role(edit("2.0", "2012-10-17")), malformed},
		{"duplicate element", "CreateRole", role(edit(`"effect":"allow"`, `"effect":"allow","Effect":"allow"`)), malformed},
		{"not JSON", "CreateRole", role("x"), malformed},
		{"trust policy too long", "CreateRole", role(good + strings.Repeat(" ", 6144)), "InvalidParameter.PolicyDocumentLengthOverLimit"},
		{"unknown field", "CreateRole", map[string]any{"RoleName": "new", "PolicyDocument": good, "Path": "/"}, "UnknownParameter"},
		{"field of another type", "CreateRole", map[string]any{"RoleName": 1, "PolicyDocument": good}, "InvalidParameter"},
		{"policy with a principal", "CreatePolicy", policy(good), malformed},
		{"resource with four segments", "CreatePolicy", policy(strings.ReplaceAll(prefixPolicy("a"), "ap-guangzhou:uid/1250000000:", "")), malformed},
		{"resource with seven segments", "CreatePolicy", policy(prefixPolicy("eip155:1:0xabc")), malformed},
		{"policy too long", "CreatePolicy", policy(prefixPolicy(strings.Repeat("a", 6144))), "InvalidParameter.PolicyDocumentLengthOverLimit"},
		{"existing policy", "CreatePolicy", map[string]any{"PolicyName": "role-a", "PolicyDocument": prefixPolicy("a")}, "FailedOperation.PolicyNameInUse"},
		{"malformed update", "UpdatePolicy", map[string]any{"PolicyName": "role-a", "PolicyDocument": "x"}, malformed},
		{"attach to an unknown role", "AttachRolePolicy", map[string]any{"AttachRoleName": "none", "PolicyName": "role-a"}, "InvalidParameter.RoleNotExist"},
		{"attach an unknown policy", "AttachRolePolicy", map[string]any{"AttachRoleName": "role-a", "PolicyName": "none"}, "ResourceNotFound.PolicyIdNotFound"},
		{"detach from an unknown role", "DetachRolePolicy", map[string]any{"DetachRoleName": "none", "PolicyName": "role-a"}, "InvalidParameter.RoleNotExist"},
		{"no such role", "GetRole", map[string]any{"RoleId": "1"}, "InvalidParameter.RoleNotExist"},
		{"no such policy", "GetPolicy", map[string]any{"PolicyId": 1}, "ResourceNotFound.PolicyIdNotFound"},
		{"page 0", "ListAttachedRolePolicies", map[string]any{"RoleName": "role-a", "Page": 0, "Rp": 200}, "InvalidParameter.ParamError"},
		{"existing provider", "CreateOIDCConfig", map[string]any{"Name": "idp", "IdentityUrl": i.URL, "ClientId": []string{"x"}, "IdentityKey": base64.StdEncoding.EncodeToString(jwks(t, i))}, "InvalidParameter.IdentityNameInUse"},
		{"provider without keys", "CreateOIDCConfig", map[string]any{"Name": "new", "IdentityUrl": i.URL, "ClientId": []string{"x"}}, "InvalidParameterValue.IdentityKeyError"},
		{"invalid keys", "CreateOIDCConfig", map[string]any{"Name": "new", "IdentityUrl": i.URL, "ClientId": []string{"x"}, "IdentityKey": "e30="}, "InvalidParameterValue.IdentityKeyError"},
		{"issuer without TLS", "CreateOIDCConfig", map[string]any{"Name": "new", "IdentityUrl": "http://broker.example", "ClientId": []string{"x"}, "IdentityKey": base64.StdEncoding.EncodeToString(jwks(t, i))}, "InvalidParameterValue.IdentityUrlError"},
		{"provider without audiences", "CreateOIDCConfig", map[string]any{"Name": "new", "IdentityUrl": i.URL, "IdentityKey": base64.StdEncoding.EncodeToString(jwks(t, i))}, "InvalidParameter.ParamError"},
		{"inline policy, which is unsupported", "PutRolePolicy", map[string]any{}, "InvalidAction"},
	} {
		wantCall(t, tc.name, ask(t, s, now, ownerKey(s), "cam", tc.action, tc.in, nil), tc.want)
	}
	k := keyOf(t, ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", i.Mint(bot("a"))), nil))
	wantCall(t, "a tenant at CAM", ask(t, s, now, k, "cam", "GetRole", map[string]any{"RoleName": "role-a"}, nil), "AuthFailure.UnauthorizedOperation")
	if _, err := s.AddRole("role-a", good, ""); err == nil || !strings.Contains(err.Error(), "RoleNameInUse") {
		t.Errorf("AddRole: %v", err)
	}
}

// TestCAMLimits: the number of roles of an account, and of policies of a role, is limited.
func TestCAMLimits(t *testing.T) {
	s := start(t, nil)
	trust := trustOf("https://broker.example", "vault", "bot:a")
	for n := range 1000 {
		_, err := s.AddRole(fmt.Sprintf("role-%d", n), trust, "")
		check(t, err)
	}
	cam := func(action string, in map[string]any) map[string]any {
		t.Helper()
		return ask(t, s, time.Now(), ownerKey(s), "cam", action, in, nil)
	}
	wantCall(t, "one more role", cam("CreateRole", map[string]any{"RoleName": "new", "PolicyDocument": trust}), "InvalidParameter.RoleFull")
	attach := func(n int) map[string]any {
		t.Helper()
		name := fmt.Sprintf("policy-%d", n)
		wantCall(t, name, cam("CreatePolicy", map[string]any{"PolicyName": name, "PolicyDocument": prefixPolicy("a")}), "")
		return cam("AttachRolePolicy", map[string]any{"AttachRoleName": "role-0", "PolicyName": name})
	}
	for n := range 200 {
		wantCall(t, "attach", attach(n), "")
	}
	wantCall(t, "one more policy", attach(200), "InvalidParameter.AttachmentFull")
}

// TestWebIdentityRate: exchanges above the limit per second are refused.
func TestWebIdentityRate(t *testing.T) {
	i := newIssuer(t, nil)
	now := time.Now().Add(time.Minute).Truncate(time.Second) // after the token was made
	s := federated(t, i, &costest.Options{Now: func() time.Time { return now }, Unsure: map[string]string{"web-identity-rate": "20"}})
	token := i.Mint(bot("a"))
	assume := func() map[string]any {
		return ask(t, s, now, accessKey{}, "sts", "AssumeRoleWithWebIdentity", web("role-a", token), nil)
	}
	for range 20 {
		wantCall(t, "within the limit", assume(), "")
	}
	wantCall(t, "one more", assume(), "RequestLimitExceeded")
	now = now.Add(time.Second)
	wantCall(t, "in the next second", assume(), "")
}

// TestTC3: a signed call is refused for each kind of error in its signature.
func TestTC3(t *testing.T) {
	s := start(t, nil)
	now := time.Now()
	set := func(name, old, new string) func(*http.Request) {
		return func(r *http.Request) {
			if !strings.Contains(r.Header.Get(name), old) {
				t.Fatalf("%s is %s", name, r.Header.Get(name))
			}
			r.Header.Set(name, strings.Replace(r.Header.Get(name), old, new, 1))
		}
	}
	good := ownerKey(s)
	for _, tc := range []struct {
		name   string
		now    time.Time
		k      accessKey
		change func(*http.Request)
		want   string
	}{
		{"valid", now, good, nil, ""},
		{"four minutes slow", now.Add(-4 * time.Minute), good, nil, ""},
		{"four minutes fast", now.Add(4 * time.Minute), good, nil, ""},
		{"six minutes slow", now.Add(-6 * time.Minute), good, nil, "AuthFailure.SignatureExpire"},
		{"six minutes fast", now.Add(6 * time.Minute), good, nil, "AuthFailure.SignatureExpire"},
		{"another secret", now, accessKey{ID: good.ID, Secret: "x"}, nil, "AuthFailure.SignatureFailure"},
		{"unknown id", now, accessKey{ID: "AKIDx", Secret: good.Secret}, nil, "AuthFailure.SecretIdNotFound"},
		{"invalid token", now, accessKey{ID: good.ID, Secret: good.Secret, Token: "x"}, nil, "AuthFailure.TokenFailure"},
		{"another body", now, good, func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 }, "AuthFailure.SignatureFailure"},
		{"another content type", now, good, set("Content-Type", "json", "json; charset=utf-8"), "AuthFailure.SignatureFailure"},
		{"another host", now, good, func(r *http.Request) { r.Host = "sts.internal.tencentcloudapi.com" }, "AuthFailure.SignatureFailure"},
		{"another time", now, good, func(r *http.Request) { r.Header.Set("X-TC-Timestamp", fmt.Sprint(now.Unix()+1)) }, "AuthFailure.SignatureFailure"},
		{"no time", now, good, func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }, "AuthFailure.SignatureFailure"},
		{"no region", now, good, func(r *http.Request) { r.Header.Del("X-TC-Region") }, "MissingParameter"},
		{"another service", now, good, set("Authorization", "/sts/", "/cam/"), "AuthFailure.SignatureFailure"},
		{"another day", now, good, set("Authorization", now.UTC().Format("/2006-01-02/"), "/2019-02-25/"), "AuthFailure.SignatureFailure"},
		{"fewer headers", now, good, set("Authorization", "content-type;host", "content-type"), "AuthFailure.SignatureFailure"},
		{"headers not sorted", now, good, set("Authorization", "content-type;host", "host;content-type"), "AuthFailure.SignatureFailure"},
		{"no signature", now, good, set("Authorization", "Signature=", "Sig="), "AuthFailure.SignatureFailure"},
		{"another algorithm", now, good, set("Authorization", "TC3-HMAC-SHA256", "AWS4-HMAC-SHA256"), "AuthFailure.SignatureFailure"},
		{"no Authorization", now, good, func(r *http.Request) { r.Header.Del("Authorization") }, "AuthFailure.SignatureFailure"},
		{"a GET", now, good, func(r *http.Request) { r.Method = http.MethodGet }, "UnsupportedProtocol"},
		{"a query", now, good, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "UnsupportedProtocol"},
	} {
		wantCall(t, tc.name, ask(t, s, tc.now, tc.k, "sts", "GetCallerIdentity", map[string]any{}, tc.change), tc.want)
	}
	var out struct{ Response map[string]any }
	if err := json.Unmarshal([]byte(costest.ErrorJSON("RequestLimitExceeded", "slow down")), &out); err != nil || callCode(out.Response) != "RequestLimitExceeded" {
		t.Errorf("%v, %v", out, err)
	}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Service == "sts" {
			return costest.RespondBefore(http.StatusOK, costest.ErrorJSON("RequestLimitExceeded", "slow down"))
		}
		return nil
	})
	wantCall(t, "a fault", ask(t, s, now, good, "sts", "GetCallerIdentity", map[string]any{}, nil), "RequestLimitExceeded")
}
