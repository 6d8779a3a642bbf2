package aws_test

import (
	"context"
	"testing"
	"time"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// federatedPlain contains the clauses for a tenant under its own policy. These are the clauses of
// AWS, except that a HEAD of a missing object is denied, so a delete through the portable bucket
// cannot detect a missing object. Package vault deletes in another way. An unreachable server
// behaves the same for every caller and takes long to test, so only TestConformanceRGW tests it.
var federatedPlain = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"swap", "swap-atomic", "swap-large", "splice", "splice-atomic",
	"remove",
	"errors", "errors-denied", "errors-expired", "close", "no-secrets",
}

// federatedVersioned contains the clauses for a bucket with versioning, where the policy allows
// purge. By default it does not.
var federatedVersioned = append(without(federatedPlain), "history", "history-overwriters", "versions", "purge")

// TestConformanceFederated runs the suite as a tenant with a token, under the printed policies.
func TestConformanceFederated(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite has run with the keys of an owner")
	}
	t.Parallel()
	version := testcloud.RequireRGW(t).Version
	known(t, "Ceph", version, knownRGW)
	server := "Ceph RGW " + version
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		conformFederated(t, server, newSite(t, false), false, federatedPlain, rgwPlainRole)
	})
	t.Run("versioned", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, true, func(o *policy.Options) { o.AllowPurge = true })
		conformFederated(t, server, s, true, federatedVersioned, rgwVersioned)
	})
}

func conformFederated(t *testing.T, server string, s *site, versioned bool, claims []string, deviations map[string]string) {
	token := s.issuer.Mint(s.claims(alice))
	exchange := exchanger(t, s.URL, s.docs.RoleARN)
	first := federation.NewProvider(fromFile(t, token), exchange, expect(alice))
	creds, err := first.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.identity(t, bob).Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open := func(endpoint string, identity func() *federation.Provider) func(context.Context) (*vault.Store, error) {
		return func(ctx context.Context) (*vault.Store, error) {
			return aws.Open(ctx, aws.Config{Bucket: s.bucket, Endpoint: endpoint, Identity: identity(), Timeout: silentTimeout})
		}
	}
	// The second client is another process after a login: it has credentials, and has not read a
	// token.
	loggedIn := func(c federation.Credentials) func() *federation.Provider {
		return func() *federation.Provider {
			return federation.NewProvider(fromFile(t, token), exchange, &federation.Options{Cached: &c})
		}
	}
	conformance.Run(t, conformance.Provider{
		Name: "aws", Server: setUp(server, versioned) + ", as a tenant", Tenant: alice, HidesAbsent: true,
		Claims: deviating(claims, deviations), Deviations: deviations,
		Open:    open(s.URL, func() *federation.Provider { return first }),
		Reopen:  open(s.URL, loggedIn(creds)),
		Denied:  open(s.URL, loggedIn(other)),
		Expired: open(expiring(t, s.URL), loggedIn(creds)),
		Secrets: []string{token, creds.SecretKey.Reveal(), creds.SessionToken.Reveal()},
		Below:   true, // the tenant may write only below a directory, and the policy compares strings
		Large:   large,
		Timeout: 5 * time.Minute,
	})
}
