package tencent_test

import (
	"context"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// The claims for a bucket without versioning. COS itself does not guarantee list-after-write.
// create-atomic is not claimed: see Store.Create, and TestCreateUnchecked.
var neverVersioned = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects",
	"splice",
	"remove", "delete-tells-absent",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

// The claims for a bucket with versioning. A reader may briefly see the value of a create that
// fails, so create is not atomic.
var versioned = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects",
	"swap", "swap-atomic", "swap-large", "splice", "splice-atomic",
	"history", "history-overwriters", "versions",
	"remove", "delete-tells-absent", "purge",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

// The claims for a bucket with suspended versioning. There is no history of new writes.
var suspended = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large", "splice",
	"remove", "delete-tells-absent",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

var suspendedDeviations = map[string]string{
	"create":              "refused, because in this state COS ignores x-cos-forbid-overwrite, and a write permanently replaces the previous object",
	"create-after-delete": "see create",
	"create-large":        "see create",
	"create-detects":      "see create",
	"create-atomic":       "see create",
	"history":             "a write permanently replaces the last write since versioning was suspended",
	"history-overwriters": "see history",
	"versions":            "see history; versions from before the suspension can be read",
	"purge":               "see versions",
}

// A setup is a bucket with credentials.
type setup struct {
	name, versioning string
	server           string // name of the column in docs/capabilities.md
	claims           []string
	deviations       map[string]string
}

var setups = []setup{
	{"never versioned", "", "costest", neverVersioned, nil},
	{"versioned", "Enabled", "costest, versioning", versioned, nil},
	{"suspended", "Suspended", "costest, versioning suspended", suspended, suspendedDeviations},
}

// TestConformance runs the suite with the keys of the bucket's owner.
func TestConformance(t *testing.T) {
	for _, c := range setups {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.versioning != "Enabled" {
				t.Skip("the suite runs with versioning")
			}
			t.Parallel()
			s := newServer(t, &costest.Options{Versioning: c.versioning})
			issuer := newIssuer(t, s)
			nothing, late := exchanged(t, s, issuer, "nothing", ""), exchanged(t, s, issuer, "late", "")
			s.ExpireKey(late.AccessKeyID)
			opened := opener(config(s, owner(s)))
			p := conformance.Provider{
				Server: c.server,
				Claims: c.claims, Open: opened, Reopen: opened,
				Denied: opener(config(s, temporary(nothing))), Expired: opener(config(s, temporary(late))),
				// costest stores keys as strings in a map, so its versioning makes no difference.
				Below:   c.versioning != "Enabled",
				Secrets: []string{s.SecretKey(), nothing.SecretKey.Reveal(), nothing.SessionToken.Reveal(), late.SecretKey.Reveal()},
			}
			if c.versioning == "" { // the clause mostly waits, and its result does not depend on versioning
				p.Unreachable = opener(tencent.Config{Bucket: s.Bucket(), Region: s.Region(), Endpoint: testcloud.NoServer(t), Static: owner(s)})
			}
			c.run(t, p)
		})
	}
}

// TestConformanceFederated runs the suite as a tenant: over https, with a token of the issuer, and
// with the unchanged output of package policy.
func TestConformanceFederated(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite has run with the keys of an owner")
	}
	for _, c := range setups {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newTenantServer(t, c.versioning, "acme", "globex")
			opened := opener(w.config("acme"))
			late := w.exchanged("acme")
			w.ExpireKey(late.AccessKeyID)
			c.run(t, conformance.Provider{
				Server: c.server + ", as a tenant",
				Claims: c.claims, Open: opened, Reopen: opened, Tenant: "acme",
				Denied: opener(w.config("globex")), Expired: opener(config(w.Server, temporary(late))),
				Secrets: []string{late.SecretKey.Reveal(), late.SessionToken.Reveal()},
				Below:   true, // the tenant may write only below a directory, and the policy compares strings
			})
		})
	}
}

func (c setup) run(t *testing.T, p conformance.Provider) {
	p.Name, p.Deviations = "tencent", c.deviations
	p.Large = 10 << 20 // more than one part
	if p.Unreachable == nil {
		p.Claims = slices.DeleteFunc(slices.Clone(p.Claims), func(clause string) bool { return clause == "errors-unreachable" })
	}
	conformance.Run(t, p)
}

func opener(c tencent.Config) func(context.Context) (*vault.Store, error) {
	return func(ctx context.Context) (*vault.Store, error) { return tencent.Open(ctx, c) }
}
