package testcloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
)

func newIssuer(t *testing.T, o *testcloud.IssuerOptions) *testcloud.Issuer {
	i := testcloud.NewIssuer(o)
	t.Cleanup(func() { i.Close() })
	return i
}

// verified verifies a token with the published keys and returns its claims.
func verified(t *testing.T, i *testcloud.Issuer, token string) (map[string]any, error) {
	t.Helper()
	var discovery struct {
		Issuer  string
		JWKSURI string `json:"jwks_uri"`
	}
	getJSON(t, i.URL+"/.well-known/openid-configuration", &discovery)
	if discovery.Issuer != i.URL {
		t.Errorf("issuer %q at %s", discovery.Issuer, i.URL)
	}
	var set jose.JSONWebKeySet
	getJSON(t, discovery.JWKSURI, &set)
	if len(set.Keys) != 1 || len(set.Keys[0].Certificates) != 1 {
		t.Fatalf("keys %+v", set.Keys)
	}
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return nil, err
	}
	if got, want := signed.Signatures[0].Header.KeyID, set.Keys[0].KeyID; got != want {
		t.Errorf("kid %q, the set has %q", got, want)
	}
	payload, err := signed.Verify(set.Keys[0])
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, json.Unmarshal(payload, &claims)
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	_, body, err := send(t, "GET", url, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatal(err)
	}
}

func TestIssuer(t *testing.T) {
	clock := func() time.Time { return time.Unix(1_000_000, 0) }
	for _, alg := range []string{"", "ES256", "RS256"} {
		i := newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg, Now: clock})
		if len(i.Thumbprint()) != 40 {
			t.Errorf("thumbprint %q", i.Thumbprint())
		}
		got, err := verified(t, i, i.Mint(testcloud.Claims{}))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"iss": i.URL, "sub": "agent", "aud": "sts.amazonaws.com", "iat": 1e6, "nbf": 1e6, "exp": 1e6 + 300}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: default claims (-want +got):\n%s", alg, diff)
		}
		c := testcloud.Claims{
			Issuer: "https://other.example", Subject: "s", Audience: "vault", IssuedAt: time.Unix(1, 0), NotBefore: time.Unix(2, 0), Expires: time.Unix(3, 0),
			Tags: map[string]string{"wallet": "0xAAA"}, MultiTags: map[string][]string{"many": {"a", "b"}}, Transitive: []string{"wallet"},
			Extra: map[string]any{"nbf": nil, "email": "a@example.org"},
		}
		tags := map[string]any{"principal_tags": map[string]any{"wallet": []any{"0xAAA"}, "many": []any{"a", "b"}}, "transitive_tag_keys": []any{"wallet"}}
		want = map[string]any{"iss": "https://other.example", "sub": "s", "aud": "vault", "iat": 1.0, "exp": 3.0, "email": "a@example.org", "https://aws.amazon.com/tags": tags}
		if got, err = verified(t, i, i.Mint(c)); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %v (-want +got):\n%s", alg, err, cmp.Diff(want, got))
		}
		c.FlatTags = true
		want["https://aws.amazon.com/tags/principal_tags"] = tags["principal_tags"]
		if got, err = verified(t, i, i.Mint(c)); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %v (-want +got):\n%s", alg, err, cmp.Diff(want, got))
		}
		c.TagsInList = true
		want["https://aws.amazon.com/tags"] = []any{tags}
		if got, err = verified(t, i, i.Mint(c)); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s: %v (-want +got):\n%s", alg, err, cmp.Diff(want, got))
		}

		if got, err = verified(t, i, i.MintExpired(testcloud.Claims{})); err != nil || got["exp"] != 1e6-60 {
			t.Errorf("%s: expired: %v, %v", alg, got, err)
		}
		tampered := testcloud.Tamper(i.Mint(testcloud.Claims{}), func(c map[string]any) { c["sub"] = "root" })
		for name, token := range map[string]string{
			"forged": i.MintForged(testcloud.Claims{}), "tampered": tampered,
			"signed by another issuer": newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg}).Mint(testcloud.Claims{Issuer: i.URL}),
		} {
			if _, err := verified(t, i, token); !errors.Is(err, jose.ErrCryptoFailure) {
				t.Errorf("%s: %s: %v", alg, name, err)
			}
		}
		if _, err := verified(t, i, i.MintUnsigned(testcloud.Claims{})); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("%s: unsigned: %v", alg, err)
		}
	}
}

// The name of an issuer may differ from the address of its keys.
func TestIssuerName(t *testing.T) {
	i := newIssuer(t, &testcloud.IssuerOptions{Name: "https://issuer.example"})
	got, err := federation.ParseToken(i.Mint(testcloud.AgentClaims("0xaaa")))
	if err != nil || got.Claims.Issuer != i.Name || i.Name != "https://issuer.example" || !strings.HasPrefix(i.URL, "http://127.0.0.1:") {
		t.Errorf("%s at %s mints a token of %s, %v", i.Name, i.URL, got.Claims.Issuer, err)
	}
}

func TestTokenFile(t *testing.T) {
	i, dir := newIssuer(t, nil), t.TempDir()
	path, err := i.TokenFile(dir, testcloud.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verified(t, i, strings.TrimSuffix(string(b), "\n")); err != nil {
		t.Error(err)
	}
}

func TestBroker(t *testing.T) {
	i := newIssuer(t, &testcloud.IssuerOptions{Sessions: map[string]testcloud.Claims{"session-a": testcloud.AgentClaims("0xaaa")}})
	mint := i.URL + "/v1/mint-oidc-jwt"
	resp, body, err := send(t, "POST", mint, "", "Authorization", "Bearer session-a")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	var got struct {
		JWT, Wallet string
		Expiration  int64
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	claims, err := verified(t, i, got.JWT)
	if err != nil || claims["sub"] != "agentkeys:agent:0xaaa" || claims["agentkeys_user_wallet"] != "0xaaa" || claims["exp"] != float64(got.Expiration) || got.Wallet != "0xaaa" {
		t.Errorf("%v, %v, wallet %q, expiration %d", claims, err, got.Wallet, got.Expiration)
	}
	for _, header := range []string{"Bearer other", "Bearer ", "session-b", ""} {
		if resp, body, err := send(t, "POST", mint, "", "Authorization", header); err != nil || resp.StatusCode != 401 || strings.Contains(body, "jwt") {
			t.Errorf("%q: %v %q %v", header, resp, body, err)
		}
	}
	if resp, _, err := send(t, "GET", mint, "", "Authorization", "Bearer session-a"); err != nil || resp.StatusCode != 404 {
		t.Errorf("GET: %v %v", resp, err)
	}
}

// assume exchanges a token and returns an S3 client with the new credentials.
func assume(ctx context.Context, url, role, token string) (*s3.Client, error) {
	client := testcloud.STSClient(url, func(o *sts.Options) { o.RetryMaxAttempts = 1 })
	out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: aws.String("test"), WebIdentityToken: &token,
	})
	if err != nil {
		return nil, err
	}
	c := out.Credentials
	return testcloud.S3Client(url, testcloud.Keys{}, func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	}), nil
}

// Ceph exchanges tokens of the issuer, and its policies use the session tags of the token.
func TestFederation(t *testing.T) {
	r, ctx := testcloud.RequireRGW(t), t.Context()
	bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
	for _, alg := range []string{"ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			i := newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg})
			provider, err := r.CreateProvider(ctx, i.URL, i.Thumbprint(), testcloud.Audience)
			if err != nil {
				t.Fatal(err)
			}
			name := "agents-" + alg + "-" + bucket // unique to this test
			role, err := r.CreateRole(ctx, name, `{
				"Version": "2012-10-17",
				"Statement": [{"Effect": "Allow", "Principal": {"Federated": ["`+provider+`"]}, "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]}]
			}`)
			if err != nil {
				t.Fatal(err)
			}
			err = r.PutRolePolicy(ctx, name, "own", `{
				"Version": "2012-10-17",
				"Statement": [{
					"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::`+bucket+`/bots/0xaaa/*"],
					"Condition": {"StringEquals": {"aws:PrincipalTag/agentkeys_user_wallet": "0xaaa"}}
				}]
			}`)
			if err != nil {
				t.Fatal(err)
			}

			inList := testcloud.AgentClaims("0xaaa")
			inList.TagsInList = true
			for _, tc := range []struct {
				name  string
				token string
				own   int // status of a put to bots/0xaaa/, 0 for success
			}{
				{"allowed tag", i.Mint(testcloud.AgentClaims("0xaaa")), 0},
				{"tags in a list", i.Mint(inList), 0},
				{"another tag", i.Mint(testcloud.AgentClaims("0xbbb")), http.StatusForbidden},
				{"no tag", i.Mint(testcloud.Claims{}), http.StatusForbidden},
			} {
				client, err := assume(ctx, r.URL, role, tc.token)
				if err != nil {
					t.Errorf("%s: exchange: %v", tc.name, err)
					continue
				}
				if err := put(ctx, client, bucket, "bots/0xaaa/k", "value"); status(err) != tc.own {
					t.Errorf("%s: put to its own prefix: %v", tc.name, err)
				}
				if err := put(ctx, client, bucket, "bots/0xbbb/k", "value"); status(err) != http.StatusForbidden {
					t.Errorf("%s: put to another prefix: %v", tc.name, err)
				}
			}

			unknown := newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg})
			good := testcloud.AgentClaims("0xaaa")
			foreign := good
			foreign.Audience = "elsewhere"
			for name, token := range map[string]string{
				"forged":                   i.MintForged(good),
				"unsigned":                 i.MintUnsigned(good),
				"expired":                  i.MintExpired(good),
				"other audience":           i.Mint(foreign),
				"unknown issuer":           unknown.Mint(good),
				"tampered":                 testcloud.Tamper(i.Mint(testcloud.AgentClaims("0xbbb")), func(c map[string]any) { c[testcloud.WalletTag] = "0xaaa" }),
				"signed by another issuer": newIssuer(t, &testcloud.IssuerOptions{Algorithm: alg}).Mint(testcloud.Claims{Issuer: i.URL}),
			} {
				if _, err := assume(ctx, r.URL, role, token); status(err) != http.StatusForbidden {
					t.Errorf("%s: exchange: %v", name, err)
				}
			}

			if err := r.DeleteRole(ctx, name); err != nil {
				t.Error(err)
			}
			if err := r.DeleteProvider(ctx, provider); err != nil {
				t.Error(err)
			}
			if _, err := assume(ctx, r.URL, role, i.Mint(good)); status(err) != http.StatusForbidden {
				t.Errorf("after the role was deleted: %v", err)
			}
		})
	}
}

// The gateway rejects a document that it cannot parse, and the error contains the reason.
func TestPolicyErrors(t *testing.T) {
	r, ctx := testcloud.RequireRGW(t), t.Context()
	bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
	variable := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + bucket + `/${aws:PrincipalTag/x}/*"]}]}`
	_, noRole := r.CreateRole(ctx, "r", `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}`)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{r.PutBucketPolicy(ctx, bucket, "{"), "put policy of bucket " + bucket + ": policy: "},
		{r.PutBucketPolicy(ctx, bucket, variable), "put policy of bucket " + bucket + ": http 400: "},
		{r.PutBucketPolicy(ctx, bucket, variable), "Supplied resource is discarded"},
		{r.PutRolePolicy(ctx, "r", "p", `{"Sid":"a b"}`), "put policy p of role r: policy: a string contains a space"},
		{r.PutRolePolicy(ctx, "absent", "p", `{"Version":"2012-10-17","Statement":[]}`), "put policy p of role absent: http 404: "},
		{r.DeleteRole(ctx, "absent"), "delete role absent: http 404: no such role: "},
		{noRole, "create role r: http 400: "},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%v\nwant %q in it", tc.err, tc.want)
		}
	}
	if err := r.PutBucketPolicy(ctx, bucket, strings.Replace(variable, "${aws:PrincipalTag/x}", "public", 1)); err != nil {
		t.Error(err)
	}
}
