package costest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestTC3Vector uses the example of the documentation, including its asterisks.
func TestTC3Vector(t *testing.T) {
	body := `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	r, err := http.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "cvm.tencentcloudapi.com"
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	canonical := tc3Canonical(r, []string{"content-type", "host"}, []byte(body))
	if got := sha256Hex([]byte(body)); got != "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064" {
		t.Errorf("body %s", got)
	}
	if got := sha256Hex([]byte(canonical)); got != "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031" {
		t.Errorf("canonical request %s of %q", got, canonical)
	}
	if got := tc3Sign("Gu5t9xGARNpq86cd98joQYCN3*******", "cvm", 1551113065, canonical); got != "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c" {
		t.Errorf("signature %s", got)
	}
}

// TestAuthorize: the decision follows from the policies of the role, the bucket and the session.
func TestAuthorize(t *testing.T) {
	const (
		bucket = "qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/"
		me     = `"principal":{"qcs":["qcs::cam::uin/1:roleName/r"]}`
		anyOne = `"principal":{"qcs":["qcs::cam::anyone:anyone"]}`
	)
	st := func(effect, action, resource string, more ...string) string {
		return fmt.Sprintf(`{"effect":%q,"action":%q,"resource":%q%s}`, effect, action, resource, strings.Join(append([]string{""}, more...), ","))
	}
	doc := func(statements ...string) string {
		return `{"version":"2.0","statement":[` + strings.Join(statements, ",") + `]}`
	}
	when := func(operator, key, values string) string {
		return `"condition":{"` + operator + `":{"` + key + `":` + values + `}}`
	}
	own := st("allow", "name/cos:GetObject", bucket+"bots/a/*")
	get := accessRequest{action: "name/cos:GetObject", resource: bucket + "bots/a/x", conditions: map[string]string{"cos:secure-transport": "false"}}
	with := func(r accessRequest, key, value string) accessRequest {
		c := map[string]string{key: value}
		for k, v := range r.conditions {
			if k != key {
				c[k] = v
			}
		}
		r.conditions = c
		return r
	}
	at := func(r accessRequest, key string) accessRequest { r.resource = bucket + key; return r }
	list := accessRequest{action: "name/cos:GetBucket", resource: bucket, conditions: map[string]string{"cos:prefix": "bots%2Fa%2F"}}
	for _, tc := range []struct {
		name                  string
		role, bucket, session string
		r                     accessRequest
		anonymous             bool
		want                  bool
		variants              map[string]string
	}{
		{name: "no policy", r: get},
		{name: "own object", role: doc(own), r: get, want: true},
		{name: "object of another tenant", role: doc(own), r: at(get, "bots/b/x")},
		{name: "object of a tenant with a longer id", role: doc(own), r: at(get, "bots/ab/x")},
		{name: "the bucket itself", role: doc(own), r: at(get, "")},
		{name: "another action", role: doc(own), r: accessRequest{action: "name/cos:PutObject", resource: bucket + "bots/a/x"}},
		{name: "action in another case", role: doc(st("allow", "name/cos:getobject", bucket+"*")), r: get},
		{name: "action without name/", role: doc(st("allow", "cos:GetObject", bucket+"*")), r: get, want: true},
		{name: "action pattern", role: doc(st("allow", "name/cos:Get*", bucket+"*")), r: get, want: true},
		{name: "all actions", role: doc(st("allow", "*", "*")), r: get, want: true},
		{name: "deny over allow", role: doc(own, st("deny", "name/cos:*", "*")), r: get},
		{name: "deny before allow", role: doc(st("deny", "name/cos:GetObject", bucket+"bots/a/x"), own), r: get},
		{name: "deny elsewhere", role: doc(own, st("deny", "name/cos:GetObject", bucket+"bots/b/*")), r: get, want: true},

		// Resources with six segments.
		{name: "uin instead of uid", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "uid/", "uin/", 1)+"*")), r: get},
		{name: "another APPID", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "uid/1250000000", "uid/1250000001", 1)+"*")), r: get},
		{name: "any owner", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "uid/1250000000", "*", 1)+"*")), r: get},
		{name: "another region", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "ap-guangzhou", "ap-hongkong", 1)+"*")), r: get},
		{name: "any region", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "ap-guangzhou", "*", 1)+"*")), r: get, want: true},
		{name: "no region", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "ap-guangzhou", "", 1)+"*")), r: get, want: true},
		{name: "another bucket", role: doc(st("allow", "name/cos:GetObject", strings.Replace(bucket, "vault-", "vaul-", 1)+"*")), r: get},
		{name: "star inside the key", role: doc(st("allow", "name/cos:GetObject", bucket+"bots/*/x")), r: get},
		{name: "prefix without a star", role: doc(st("allow", "name/cos:GetObject", bucket+"bots/a/")), r: get},
		{name: "exact key", role: doc(st("allow", "name/cos:GetObject", bucket+"bots/a/x")), r: get, want: true},
		{name: "variable in the resource", role: doc(st("allow", "name/cos:GetObject", bucket+"bots/${uin}/*")), r: at(get, "bots/${uin}/x")},

		// Conditions.
		{name: "equal", role: doc(st("allow", "name/cos:GetObject", "*", when("string_equal", "k", `["a","b"]`))), r: with(get, "k", "b"), want: true},
		{name: "equal, another case", role: doc(st("allow", "name/cos:GetObject", "*", when("string_equal", "k", `"B"`))), r: with(get, "k", "b")},
		{name: "equal, absent", role: doc(st("allow", "name/cos:GetObject", "*", when("string_equal", "k", `""`))), r: get},
		{name: "equal if it exists, absent", role: doc(st("allow", "name/cos:GetObject", "*", when("string_equal_if_exist", "k", `"a"`))), r: get, want: true},
		{name: "not equal, absent", role: doc(st("allow", "name/cos:GetObject", "*", when("string_not_equal", "k", `"a"`))), r: get},
		{name: "not equal if it exists, absent", role: doc(own, st("deny", "name/cos:GetObject", "*", when("string_not_equal_if_exist", "k", `"a"`))), r: get},
		{name: "not equal if it exists, equal", role: doc(own, st("deny", "name/cos:GetObject", "*", when("string_not_equal_if_exist", "k", `"a"`))), r: with(get, "k", "a"), want: true},
		{name: "not equal, one of two values is equal", role: doc(st("allow", "name/cos:GetObject", "*", when("string_not_equal", "k", `["a","b"]`))), r: with(get, "k", "a")},
		{name: "not equal, one of two values is equal, any-of", role: doc(st("allow", "name/cos:GetObject", "*", when("string_not_equal", "k", `["a","b"]`))), r: with(get, "k", "a"), variants: map[string]string{"negated-list": "any-of"}, want: true},
		{name: "like a prefix", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"ab*"`))), r: with(get, "k", "abc"), want: true},
		{name: "like a suffix", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"*c"`))), r: with(get, "k", "abc"), want: true},
		{name: "like, star inside", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"a*c"`))), r: with(get, "k", "abc")},
		{name: "like anything", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"*"`))), r: with(get, "k", ""), want: true},
		{name: "like anything, absent", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"*"`))), r: get},
		{name: "like a variable", role: doc(st("allow", "name/cos:GetObject", "*", when("string_like", "k", `"${x}*"`))), r: with(get, "k", "${x}")},
		{name: "equal to a variable", role: doc(st("allow", "name/cos:GetObject", "*", when("string_equal", "k", `"${x}"`))), r: with(get, "k", "${x}")},
		{name: "boolean", role: doc(st("allow", "name/cos:GetObject", "*", when("bool_equal", "cos:secure-transport", `true`))), r: with(get, "cos:secure-transport", "true"), want: true},
		{name: "boolean, no match", role: doc(st("allow", "name/cos:GetObject", "*", when("bool_equal", "cos:secure-transport", `"true"`))), r: get},
		{name: "boolean, deny matches", role: doc(own, st("deny", "name/cos:GetObject", "*", when("bool_equal", "COS:Secure-Transport", `"False"`))), r: get},
		{name: "IP address", role: doc(st("allow", "name/cos:GetObject", "*", when("ip_equal", "qcs:ip", `["10.0.0.0/8"]`))), r: with(get, "qcs:ip", "10.1.2.3"), want: true},
		{name: "IP address, negated", role: doc(st("allow", "name/cos:GetObject", "*", when("ip_not_equal", "qcs:ip", `"10.1.2.3"`))), r: with(get, "qcs:ip", "10.1.2.3")},
		{name: "number", role: doc(st("allow", "name/cos:GetObject", "*", when("numeric_greater_than_equal", "cos:tls-version", `1.2`))), r: with(get, "cos:tls-version", "1.3"), want: true},
		{name: "number, no match", role: doc(st("allow", "name/cos:GetObject", "*", when("numeric_less_than", "cos:tls-version", `1.2`))), r: with(get, "cos:tls-version", "1.3")},
		{name: "two keys, one matches", role: doc(st("allow", "name/cos:GetObject", "*", `"condition":{"string_equal":{"k":"a","l":"b"}}`)), r: with(get, "k", "a")},
		{name: "two operators, one matches", role: doc(st("allow", "name/cos:GetObject", "*", `"condition":{"string_equal":{"k":"a"},"string_like":{"k":"b*"}}`)), r: with(get, "k", "a")},
		{name: "wildcard action with a condition", role: doc(st("allow", "name/cos:*", "*", when("string_equal", "k", `"a"`))), r: with(get, "k", "a")},
		{name: "action and wildcard action with a condition", role: doc(strings.Replace(st("allow", "name/cos:GetObject", "*", when("string_equal", "k", `"a"`)), `"name/cos:GetObject"`, `["name/cos:GetObject","name/cos:*"]`, 1)), r: with(get, "k", "a")},
		{name: "wildcard action with a condition, evaluated", role: doc(st("allow", "name/cos:*", "*", when("string_equal", "k", `"a"`))), r: with(get, "k", "a"), variants: map[string]string{"action-wildcard": "evaluate"}, want: true},
		{name: "wildcard action in a conditional deny", role: doc(own, st("deny", "name/cos:*", "*", when("string_equal", "k", `"a"`))), r: get},

		// Lists.
		{name: "list", role: doc(st("allow", "name/cos:GetBucket", bucket+"*", when("string_like", "cos:prefix", `"bots%2Fa%2F*"`))), r: list, want: true},
		{name: "list, resource of the bucket", role: doc(st("allow", "name/cos:GetBucket", bucket)), r: list, want: true},
		{name: "list, prefix condition not encoded", role: doc(st("allow", "name/cos:GetBucket", bucket+"*", when("string_like", "cos:prefix", `"bots/a/*"`))), r: list},
		{name: "list of another tenant", role: doc(st("allow", "name/cos:GetBucket", bucket+"*", when("string_like", "cos:prefix", `"bots%2Fa%2F*"`))), r: with(list, "cos:prefix", "bots%2Fb%2F")},
		{name: "list without a prefix", role: doc(st("allow", "name/cos:GetBucket", bucket+"*", when("string_like", "cos:prefix", `"bots%2Fa%2F*"`))), r: accessRequest{action: "name/cos:GetBucket", resource: bucket}},
		{name: "list, resource of objects", role: doc(st("allow", "name/cos:GetBucket", bucket+"bots/a/*")), r: list},

		// Bucket policies.
		{name: "allowed by the bucket policy", bucket: doc(st("allow", "name/cos:GetObject", bucket+"bots/a/*", me)), r: get, want: true},
		{name: "bucket policy for another role", bucket: doc(st("allow", "name/cos:GetObject", bucket+"*", strings.Replace(me, "roleName/r", "roleName/s", 1))), r: get},
		{name: "denied by the bucket policy", role: doc(own), bucket: doc(st("deny", "name/cos:GetObject", bucket+"*", me)), r: get},
		{name: "bucket policy for anyone", bucket: doc(st("allow", "name/cos:GetObject", bucket+"*", anyOne)), r: get, want: true},
		{name: "bucket policy for anyone, unsigned request", bucket: doc(st("allow", "name/cos:GetObject", bucket+"*", anyOne)), r: get, anonymous: true, want: true},
		{name: "bucket policy for anyone, outside the session policy", session: doc(st("allow", "name/cos:GetObject", bucket+"bots/b/*")), bucket: doc(st("allow", "name/cos:GetObject", bucket+"*", anyOne)), r: get, want: true},
		{name: "deny for anyone, signed request", role: doc(own), bucket: doc(st("deny", "name/cos:GetObject", bucket+"*", anyOne)), r: get, want: true},
		{name: "deny for anyone, unsigned request", bucket: doc(st("allow", "name/cos:GetObject", bucket+"*", anyOne), st("deny", "name/cos:GetObject", bucket+"*", anyOne)), r: get, anonymous: true},
		{name: "allowed by an ACL", r: accessRequest{action: get.action, resource: get.resource, acl: true}, want: true},
		{name: "allowed by an ACL, denied by the role policy", role: doc(st("deny", "name/cos:GetObject", "*")), r: accessRequest{action: get.action, resource: get.resource, acl: true}},
		{name: "allowed by an ACL, outside the session policy", session: doc(st("allow", "name/cos:GetObject", bucket+"bots/b/*")), r: accessRequest{action: get.action, resource: get.resource, acl: true}},
		{name: "allowed by an ACL, inside the session policy", session: doc(own), r: accessRequest{action: get.action, resource: get.resource, acl: true}, want: true},
		{name: "public ACL, outside the session policy", session: doc(st("allow", "name/cos:GetObject", bucket+"bots/b/*")), r: accessRequest{action: get.action, resource: get.resource, publicACL: true}, want: true},
		{name: "ACL that is not public, unsigned request", r: accessRequest{action: get.action, resource: get.resource, acl: true}, anonymous: true},
		{name: "public ACL, unsigned request", r: accessRequest{action: get.action, resource: get.resource, publicACL: true}, anonymous: true, want: true},
		{name: "public ACL, deny for anyone", bucket: doc(st("deny", "name/cos:GetObject", bucket+"*", anyOne)), r: accessRequest{action: get.action, resource: get.resource, publicACL: true}},

		// Session policies.
		{name: "inside the session policy", role: doc(st("allow", "name/cos:GetObject", bucket+"*")), session: doc(own), r: get, want: true},
		{name: "outside the session policy", role: doc(st("allow", "name/cos:GetObject", bucket+"*")), session: doc(own), r: at(get, "bots/b/x")},
		{name: "allowed only by the session policy", session: doc(own), role: doc(st("allow", "name/cos:PutObject", bucket+"*")), r: get},
		{name: "denied by the session policy", role: doc(own), session: doc(own, st("deny", "name/cos:GetObject", "*")), r: get},
	} {
		s := &Server{o: Options{OwnerUin: "1", Unsure: tc.variants}}
		a := newAccess(s)
		c := caller{uin: "1", roleID: "10", roleName: "r", sessionPolicy: tc.session}
		a.roles["r"] = &role{id: "10", name: "r"}
		if tc.role != "" {
			if err := a.checkDocument(tc.role); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			a.policies["p"] = &camPolicy{document: tc.role}
			a.roles["r"].attached = []string{"p"}
		}
		if tc.anonymous {
			c = caller{anonymous: true}
		}
		tc.r.bucket, tc.r.bucketPolicy = "vault-1250000000", tc.bucket
		if err := a.authorize(c, tc.r); (err == nil) != tc.want {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestCheckPolicy(t *testing.T) {
	const good = `{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":["qcs::cam::anyone:anyone"]},"action":["name/cos:GetObject"],"resource":["qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"]}]}`
	for _, tc := range []struct {
		name, doc, want string
	}{
		{"valid", good, ""},
		{"capitalized names", strings.NewReplacer("statement", "Statement", "effect", "Effect", "principal", "Principal").Replace(good), ""},
		{"no principal", strings.Replace(good, `"principal":{"qcs":["qcs::cam::anyone:anyone"]},`, "", 1), "MalformedPolicy"},
		{"role as the principal", strings.Replace(good, "qcs::cam::anyone:anyone", "qcs::cam::uin/1:roleName/r", 1), "MalformedPolicy"},
		{"federated principal", strings.Replace(good, `"qcs":[`, `"federated":[`, 1), "MalformedPolicy"},
		{"another bucket", strings.Replace(good, "vault-", "other-", 1), "MalformedPolicy"},
		{"uin in the resource", strings.Replace(good, "uid/", "uin/", 1), "MalformedPolicy"},
		{"no version", strings.Replace(good, `"version":"2.0",`, "", 1), "MalformedPolicy"},
		{"trailing data", good + "{}", "MalformedPolicy"},
		{"not JSON", "x", "MalformedPolicy"},
		{"too large", good + strings.Repeat(" ", 20<<10), "PolicyFull"},
	} {
		s := &Server{}
		err := s.checkPolicy("vault-1250000000", []byte(tc.doc))
		var code string
		if e, ok := err.(*apiError); ok {
			code = e.code
		} else if err != nil {
			code = err.Error()
		}
		if code != tc.want {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	s := &Server{o: Options{Unsure: map[string]string{"role-principal": "accept"}}}
	if err := s.checkPolicy("vault-1250000000", []byte(strings.Replace(good, "qcs::cam::anyone:anyone", "qcs::cam::uin/1:roleName/r", 1))); err != nil {
		t.Errorf("a role as the principal, with role-principal=accept: %v", err)
	}
}

// TestVerify: only a signature by a matching key of the key set is valid.
func TestVerify(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	mint := func(header, payload string) string {
		text := b64([]byte(header)) + "." + b64([]byte(payload))
		digest := sha256.Sum256([]byte(text))
		var signature []byte
		if strings.Contains(header, "RS256") {
			signature, err = rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest[:])
		} else {
			r, s, serr := ecdsa.Sign(rand.Reader, ecKey, digest[:])
			signature, err = make([]byte, 64), serr
			r.FillBytes(signature[:32])
			s.FillBytes(signature[32:])
		}
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + b64(signature)
	}
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rsaJWK := fmt.Sprintf(`{"kty":"RSA","kid":"r","use":"sig","alg":"RS256","n":%q,"e":"AQAB"}`, b64(rsaKey.N.Bytes()))
	ecJWK := fmt.Sprintf(`{"kty":"EC","kid":"e","crv":"P-256","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	const payload = `{"iss":"i","sub":"s","aud":["a","b"],"exp":1}`
	for _, tc := range []struct{ name, set, token, want string }{
		{"RS256", set(ecJWK, rsaJWK), mint(`{"alg":"RS256","kid":"r"}`, payload), ""},
		{"ES256", set(rsaJWK, ecJWK), mint(`{"alg":"ES256"}`, payload), ""},
		{"another kid", set(rsaJWK), mint(`{"alg":"RS256","kid":"x"}`, payload), "verification failure"},
		{"key of another type", set(rsaJWK), mint(`{"alg":"ES256"}`, payload), "verification failure"},
		{"key for another algorithm", set(strings.Replace(rsaJWK, "RS256", "PS256", 1)), mint(`{"alg":"RS256"}`, payload), "verification failure"},
		{"unsupported algorithm", set(rsaJWK), mint(`{"alg":"HS256"}`, payload), `"HS256" is not supported`},
		{"alg none", set(rsaJWK), b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(payload)) + ".", `"none" is not supported`},
		{"crit in the header", set(rsaJWK), mint(`{"alg":"RS256","crit":["b64"]}`, payload), "malformed token"},
		{"no claims", set(rsaJWK), mint(`{"alg":"RS256"}`, `[]`), "malformed token"},
		{"padding", set(rsaJWK), mint(`{"alg":"RS256"}`, payload) + "=", "malformed token"},
		{"two parts", set(rsaJWK), "a.b", "malformed token"},
	} {
		keys, err := parseKeys([]byte(tc.set))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		c, err := verify(tc.token, keys, "RS256", "ES256")
		if tc.want == "" {
			if err != nil || c.Issuer != "i" || c.Subject != "s" || len(c.Audiences) != 2 || *c.Expires != 1 {
				t.Errorf("%s: %+v, %v", tc.name, c, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	for _, bad := range []string{"x", `{}`, set(), set(strings.Replace(rsaJWK, `"use":"sig"`, `"use":"enc"`, 1)), set(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`), set(`{"kty":"oct","k":"AQAB"}`), set(`{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"}`)} {
		if keys, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%s: %v", bad, keys)
		}
	}
}

// FuzzParsePolicy: parsing does not panic, and a stored policy can be parsed again for each
// decision.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{
		`{"version":"2.0","statement":[{"effect":"allow","action":"name/cos:*","resource":"*","condition":{"string_like":{"cos:prefix":["a*"]}}}]}`,
		`{"Version":"2.0","Statement":{"Effect":"Deny","Principal":"*","Action":["a"],"Resource":["qcs::cos:::b/*"]}}`,
		`{"version":"2.0","statement":[{"effect":"allow","principal":{"federated":"x"},"action":"b","condition":{"bool_equal":{"k":true},"numeric_less_than_if_exist":{"n":1}}}]}`,
		`{"version":"2.0","version":"2.0"}`, `[]`, ``,
	} {
		f.Add(s)
	}
	s := &Server{}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []policyKind{ofIdentity, ofTrust, ofBucket} {
			doc, err := parsePolicy(text, kind)
			if err != nil {
				continue
			}
			if len(doc) == 0 {
				t.Fatal("a policy without statements")
			}
			s.evaluate(doc, accessRequest{action: "name/cos:GetBucket", resource: "qcs::cos:r:uid/1:b-1/", conditions: map[string]string{"cos:prefix": "a", "k": "true", "n": "0"}}, nil)
		}
	})
}
