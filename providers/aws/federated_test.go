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

// federatedPlain is what a tenant is promised under its own policy: all that AWS
// documents, but that a HEAD of what is not there is denied, so that a delete through
// the portable bucket cannot tell. Package vault deletes otherwise. A server that does
// not answer is the same for every caller, and slow to try: TestConformanceRGW does.
var federatedPlain = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"swap", "swap-atomic", "swap-large",
	"remove",
	"errors", "errors-denied", "errors-expired", "close", "no-secrets",
}

// federatedVersioned is the same in a bucket with versioning, where the policy allows
// to purge; by default it does not.
var federatedVersioned = append(without(federatedPlain), "history", "history-overwriters", "versions", "purge")

// TestConformanceFederated runs the suite as a tenant who came with a token, under the
// policy that is printed for tenants.
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
		conformFederated(t, server, newSite(t, false), false, federatedPlain, rgwPlain)
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
			return aws.Open(ctx, aws.Config{Bucket: s.bucket, Endpoint: endpoint, Identity: identity(), Timeout: patience})
		}
	}
	// Another process that was logged in: it has credentials, and no token yet.
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
		Below:   true, // all that the tenant may write is below a directory, and to the policy a path is a string
		Large:   large,
		Timeout: 5 * time.Minute,
	})
}
