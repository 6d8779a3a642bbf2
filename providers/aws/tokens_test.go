package aws_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestTokensRefused exchanges invalid tokens through a proxy that records the requests. Tokens that
// the federation package rejects are not sent. For a token that the gateway rejects, S3 gets no
// request. Then each token is sent to the gateway directly, because the gateway must not rely on
// the client's checks.
func TestTokensRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newSite(t, false)
	stranger := testcloud.NewIssuer(nil)
	t.Cleanup(func() { stranger.Close() })
	as := s.claims(alice)
	with := func(change func(*testcloud.Claims)) testcloud.Claims {
		c := s.claims(alice)
		change(&c)
		return c
	}
	sources := map[string]struct {
		token string
		// clientErr is the sentinel of the client's check, or nil if the token passes.
		clientErr error
		// want is the error of a vault; nil means not authenticated.
		want error
		// taken reports whether the gateway accepts the token, which has a valid signature and has
		// not expired.
		taken bool
	}{
		"expired":                    {token: s.issuer.MintExpired(as), clientErr: federation.ErrTokenInvalid},
		"wrong audience":             {token: s.issuer.Mint(with(func(c *testcloud.Claims) { c.Audience = "sts.example.com" })), clientErr: federation.ErrTokenInvalid},
		"wrong signature":            {token: s.issuer.MintForged(as)},
		"alg none":                   {token: s.issuer.MintUnsigned(as), clientErr: federation.ErrTokenInvalid},
		"alg none, with a signature": {token: s.issuer.MintUnsigned(as) + "AAAA", clientErr: federation.ErrTokenInvalid},
		"tampered tags":              {token: testcloud.Tamper(s.issuer.Mint(s.claims(bob)), retag(alice))},
		"tampered subject":           {token: testcloud.Tamper(s.issuer.Mint(as), func(c map[string]any) { c["sub"] = "root" })},
		"no tags":                    {token: s.issuer.Mint(with(func(c *testcloud.Claims) { c.Tags, c.Extra = nil, nil }))},
		"claim, but no tag":          {token: s.issuer.Mint(with(func(c *testcloud.Claims) { c.Tags = nil }))},
		"unknown issuer":             {token: stranger.Mint(as)},
		"key of another issuer":      {token: stranger.Mint(with(func(c *testcloud.Claims) { c.Issuer = s.issuer.URL }))},
		"several tenants":            {token: s.issuer.Mint(several(s.claims(alice), alice, bob)), clientErr: federation.ErrTokenInvalid, taken: true},
		"another tenant":             {token: s.issuer.Mint(s.claims(bob)), clientErr: federation.ErrTenantMismatch, want: vault.ErrPermission, taken: true},
		"tenant id *":                {token: s.issuer.Mint(with(func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "*" })), clientErr: federation.ErrTokenInvalid, taken: true},
	}
	for name, tc := range sources {
		t.Run(name, func(t *testing.T) {
			proxy := testcloud.NewProxy(s.URL, nil)
			t.Cleanup(func() { proxy.Close() })
			exchange := exchanger(t, proxy.URL, s.docs.RoleARN)
			identity := federation.NewProvider(fromFile(t, tc.token), exchange, expect(alice))
			v := newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: proxy.URL, Identity: identity}), alice)
			want, cause := tc.want, tc.clientErr
			if want == nil {
				want = vault.ErrUnauthenticated
			}
			if cause == nil {
				cause = federation.ErrRefused
			}
			for verb, err := range everyVerb(t.Context(), v) {
				if !errors.Is(err, want) || !errors.Is(err, cause) || errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s: %v, want %v and %v", verb, err, want, cause)
				}
				if err != nil && strings.Contains(err.Error(), tc.token[len(tc.token)-20:]) {
					t.Errorf("%s: the token is in %v", verb, err)
				}
			}
			rejected := 0
			for _, r := range proxy.Requests() {
				// A busy gateway may not respond before the client gives up and sends the token again.
				unanswered := r.Status == 0
				if r.Path != "/" || r.AccessKeyID != "" || r.Status != http.StatusForbidden && !unanswered || tc.clientErr != nil {
					t.Errorf("the request %v was sent, signed by %q", r, r.AccessKeyID)
				}
				if !unanswered {
					rejected++
				}
			}
			if tc.clientErr == nil && rejected == 0 {
				t.Error("the gateway rejected no request")
			}

			proxy.Reset()
			_, err := exchange.Exchange(t.Context(), federation.Token{Raw: federation.NewSecret(tc.token)})
			switch {
			case tc.taken && err != nil:
				t.Errorf("the gateway: %v", err)
			case !tc.taken && !errors.Is(err, federation.ErrRefused) && !errors.Is(err, federation.ErrTokenInvalid):
				t.Errorf("the gateway: %v, want %v", err, federation.ErrRefused)
			}
			seen := slices.DeleteFunc(proxy.Requests(), func(r testcloud.Request) bool { return r.Status == 0 })
			if len(seen) != 1 || !seen[0].Applied || tc.taken != (seen[0].Status == http.StatusOK) {
				t.Errorf("the gateway answered the requests %v", seen)
			}
		})
	}
}

// retag returns a function that changes the tag of a token to another tenant.
func retag(to vault.Tenant) func(map[string]any) {
	return func(c map[string]any) {
		c[testcloud.TagsClaim].(map[string]any)["principal_tags"] = map[string]any{testcloud.WalletTag: []string{string(to)}}
	}
}

// several returns claims with the tag of several tenants.
func several(c testcloud.Claims, tenants ...vault.Tenant) testcloud.Claims {
	c.MultiTags = make(map[string][]string)
	for _, t := range tenants {
		c.MultiTags[testcloud.WalletTag] = append(c.MultiTags[testcloud.WalletTag], string(t))
	}
	c.Tags = nil
	return c
}

// everyVerb performs every operation of a vault once.
func everyVerb(ctx context.Context, v *vault.Vault) map[string]error {
	errs := everyVerbOf(ctx, v, "openai")
	_, errs["teardown"] = v.Teardown(ctx, nil)
	for _, err := range v.List(ctx, nil) {
		errs["list"] = err
	}
	return errs
}

// everyVerbOf performs every operation on one name.
func everyVerbOf(ctx context.Context, v *vault.Vault, name vault.Name) map[string]error {
	errs := make(map[string]error)
	_, errs["put"] = v.Put(ctx, name, strings.NewReader("sk"), nil)
	_, errs["create"] = v.Put(ctx, name, strings.NewReader("sk"), &vault.PutOptions{Create: true})
	_, errs["get"] = v.Get(ctx, name, nil)
	_, errs["range"] = v.Get(ctx, name, &vault.GetOptions{Range: &vault.Range{Length: 1}})
	_, errs["stat"] = v.Stat(ctx, name)
	_, errs["rollback"] = v.Rollback(ctx, name, "@1")
	_, errs["undelete"] = v.Undelete(ctx, name)
	errs["delete"] = v.Delete(ctx, name, nil)
	for _, err := range v.History(ctx, name) {
		errs["history"] = err
	}
	return errs
}

// TestTagsWithoutAccess: a role trusts every token of the issuer, with any tag or none. The gateway
// issues credentials, and denies every request with them.
func TestTagsWithoutAccess(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newSite(t, false)
	trust := s.docs.TrustPolicy.Statement[0]
	delete(trust.Condition, "StringLike") // which requires a tag
	role := s.newRole(t, "open-"+s.bucket, s.docs.TrustPolicy.String())
	for _, tenant := range []vault.Tenant{alice, bob, longer} {
		if _, err := s.join(t, tenant).Put(t.Context(), "seed", strings.NewReader("sk"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(*testcloud.Claims){
		"no tag":                   func(c *testcloud.Claims) { c.Tags = nil },
		"another tag":              func(c *testcloud.Claims) { c.Tags = map[string]string{"team": string(alice)} },
		"empty":                    func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "" },
		"only a star":              func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "*" },
		"prefix and a star":        func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "0x*" },
		"question mark at the end": func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = string(alice[:41]) + "?" },
		"prefix of a tenant id":    func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = string(alice[:41]) },
		"slash at the end":         func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = string(alice) + "/" },
		"path with dots":           func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "../" + string(alice) },
		"upper case":               func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = strings.ToUpper(string(alice)) },
		"policy variable":          func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "${aws:username}" },
		"unknown tenant":           func(c *testcloud.Claims) { c.Tags[testcloud.WalletTag] = "0xccc" },
	} {
		t.Run(name, func(t *testing.T) {
			claims := s.claims(alice)
			change(&claims)
			token := s.issuer.Mint(claims)
			creds, err := exchanger(t, s.URL, role).Exchange(t.Context(), federation.Token{Raw: federation.NewSecret(token)})
			if err != nil {
				t.Fatalf("no credentials, so the policy was not tested: %v", err)
			}
			intruder := &member{tenant: "0xccc", raw: s.client(s.URL, creds)}
			for _, tenant := range []vault.Tenant{alice, bob, longer, "0xccc"} {
				key := "bots/" + string(tenant) + "/credentials/seed.enc"
				c := cell{ctx: t.Context(), site: s, actor: intruder, place: &place{key: key, list: "bots/" + string(tenant) + "/", version: "null", upload: "none"}}
				for _, v := range verbs {
					if v.name == "copy to" || v.name == "copy from" { // these write an object of the actor first
						continue
					}
					if v.name == "multi-delete" {
						c.judge(t, v.name, "sdk", call{"multi-delete", c.remove(key)})
						continue
					}
					for _, call := range v.sdk(c) {
						c.judge(t, v.name, "sdk", call)
					}
				}
			}
		})
	}
}

// TestSeveralTenants shows why a tag with several values is rejected: RGW 16.2.15 gives access to
// the prefix of each value, while AWS has one value for a tag.
func TestSeveralTenants(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	for _, tenant := range []vault.Tenant{alice, bob, longer} {
		if _, err := s.join(t, tenant).Put(t.Context(), "seed", strings.NewReader("sk"), nil); err != nil {
			t.Fatal(err)
		}
	}
	token := s.issuer.Mint(several(s.claims(alice), alice, bob))
	source := fromFile(t, token)
	if _, err := federation.NewProvider(source, exchanger(t, s.URL, s.docs.RoleARN), nil).Credentials(t.Context()); !errors.Is(err, federation.ErrTokenInvalid) {
		t.Errorf("without a requested tenant: %v, want %v", err, federation.ErrTokenInvalid)
	}
	creds, err := exchanger(t, s.URL, s.docs.RoleARN).Exchange(t.Context(), federation.Token{Raw: federation.NewSecret(token)})
	if err != nil {
		t.Fatal(err)
	}
	client := s.client(s.URL, creds)
	for tenant, reached := range map[vault.Tenant]bool{alice: true, bob: true, longer: false} {
		key := "bots/" + string(tenant) + "/credentials/seed.enc"
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
		if (err == nil) != reached {
			t.Errorf("%s: %v, want access: %v", tenant, err, reached)
		}
		if err == nil {
			out.Body.Close()
		}
	}
}

// TestTenantsRefused: tenant ids that would reach beyond a tenant, or that stores cannot
// distinguish, are rejected before any request, whatever their source.
func TestTenantsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	s := newSite(t, false)
	proxy := testcloud.NewProxy(s.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	for _, id := range []string{
		"*", "0x*", "a?", "?", string(alice) + "*", string(alice[:41]) + "?", string(alice) + "/", "/" + string(alice), "..", ".",
		string(alice) + "/../" + string(bob), "../" + string(bob), string(alice) + "%2f", "%2e%2e", string(alice) + "__0x2f__", "${aws:username}",
		string(alice) + "\x00", string(alice) + " ", `..\` + string(bob), string(alice) + "\n",
	} {
		token := s.issuer.Mint(func() testcloud.Claims {
			c := s.claims(alice)
			c.Tags[testcloud.WalletTag] = id
			return c
		}())
		exchange := exchanger(t, proxy.URL, s.docs.RoleARN)
		identity := federation.NewProvider(fromFile(t, token), exchange, nil)
		// As the configured tenant.
		if _, err := vault.ParseTenant(id); !errors.Is(err, vault.ErrInvalidName) {
			t.Errorf("tenant %q: %v, want %v", id, err, vault.ErrInvalidName)
		}
		if _, err := vault.New(open(t, aws.Config{Bucket: s.bucket, Endpoint: proxy.URL, Identity: identity}), vault.Tenant(id), keys, nil); !errors.Is(err, vault.ErrInvalidName) {
			t.Errorf("a vault of tenant %q: %v, want %v", id, err, vault.ErrInvalidName)
		}
		// In a token alone, or in a token while another tenant is configured.
		if _, err := identity.Token(t.Context()); !errors.Is(err, federation.ErrTokenInvalid) {
			t.Errorf("a token with the tag %q: %v, want %v", id, err, federation.ErrTokenInvalid)
		}
		identity = federation.NewProvider(fromFile(t, token), exchange, expect(alice))
		v := newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: proxy.URL, Identity: identity}), alice)
		if err := v.Delete(t.Context(), "openai", nil); !errors.Is(err, vault.ErrUnauthenticated) || !errors.Is(err, federation.ErrTokenInvalid) {
			t.Errorf("a token with the tag %q for a vault of alice: %v, want %v", id, err, federation.ErrTokenInvalid)
		}
	}
	for _, r := range proxy.Requests() {
		t.Errorf("the request %v was sent", r)
	}
}

// TestUnreachableSTS distinguishes an STS that does not respond from one that refuses.
func TestUnreachableSTS(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	identity := federation.NewProvider(fromFile(t, s.issuer.Mint(s.claims(alice))), exchanger(t, testcloud.NoServer(t), s.docs.RoleARN), expect(alice))
	v := newVault(t, open(t, aws.Config{Bucket: s.bucket, Endpoint: s.URL, Identity: identity}), alice)
	if _, err := v.Stat(t.Context(), "openai"); !errors.Is(err, vault.ErrUnavailable) || !errors.Is(err, federation.ErrUnavailable) {
		t.Errorf("stat: %v, want %v", err, vault.ErrUnavailable)
	}
}
