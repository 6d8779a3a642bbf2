package tencent_test

import (
	"testing"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// newServer starts a server. At the end of the test, it must not have unfinished multipart uploads.
func newServer(t *testing.T, o *costest.Options) *costest.Server {
	t.Helper()
	s, err := costest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := s.Uploads(s.Bucket()); len(left) != 0 {
			t.Errorf("uploads remain: %v", left)
		}
		s.Close()
	})
	return s
}

func owner(s *costest.Server) cosblob.Credentials {
	return cosblob.Static(s.SecretID(), s.SecretKey(), "")
}

func config(s *costest.Server, c cosblob.Credentials) tencent.Config {
	return tencent.Config{Bucket: s.Bucket(), Region: s.Region(), Endpoint: s.URL(), Static: c}
}

func open(t *testing.T, c tencent.Config) *vault.Store {
	t.Helper()
	store, err := tencent.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

const (
	provider = "idp"
	audience = "vault"
	subject  = "bot:0xabc"
)

func newIssuer(t *testing.T, s *costest.Server) *testcloud.Issuer {
	t.Helper()
	issuer := testcloud.NewIssuer(nil)
	t.Cleanup(func() { issuer.Close() })
	if err := s.AddProvider(costest.Provider{Name: provider, Issuer: issuer.URL, Audiences: []string{audience}}); err != nil {
		t.Fatal(err)
	}
	return issuer
}

// addRole creates a role that tokens of subject may assume. The policy may be empty.
func addRole(t *testing.T, s *costest.Server, issuer *testcloud.Issuer, name, policy string) (arn string) {
	t.Helper()
	arn, err := s.AddRole(name, `{"version":"2.0","statement":[{"effect":"allow","action":["name/sts:AssumeRoleWithWebIdentity"],
		"principal":{"federated":["`+s.ProviderARN(provider)+`"]},
		"condition":{"string_equal":{"oidc:iss":["`+issuer.URL+`"],"oidc:aud":["`+audience+`"],"oidc:sub":["`+subject+`"]}}}]}`, policy)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

func newExchanger(t *testing.T, s *costest.Server, arn string) federation.Exchanger {
	t.Helper()
	e, err := tencent.NewExchanger(tencent.Role{ARN: arn, Provider: provider, Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mint(t *testing.T, issuer *testcloud.Issuer) federation.Token {
	t.Helper()
	return parse(t, issuer.Mint(testcloud.Claims{Subject: subject, Audience: audience}))
}

func parse(t *testing.T, raw string) federation.Token {
	t.Helper()
	token, err := federation.ParseToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// exchanged returns the temporary keys of a role with the permissions in policy.
func exchanged(t *testing.T, s *costest.Server, issuer *testcloud.Issuer, role, policy string) federation.Credentials {
	t.Helper()
	c, err := newExchanger(t, s, addRole(t, s, issuer, role, policy)).Exchange(t.Context(), mint(t, issuer))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func temporary(c federation.Credentials) cosblob.Credentials {
	return cosblob.Static(c.AccessKeyID, c.SecretKey.Reveal(), c.SessionToken.Reveal())
}
