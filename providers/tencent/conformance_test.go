package tencent_test

import (
	"context"
	"net"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/providers/tencent/cosblob"
	"github.com/objectvault/objectvault/providers/tencent/costest"
	"github.com/objectvault/objectvault/vault"
)

// neverVersioned is what the package promises of a bucket without versioning. COS itself
// does not promise list-after-write.
var neverVersioned = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"remove", "delete-tells-absent",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

// versioned is what it promises of a bucket with versioning: a reader may see a loser for
// a moment, so create is not atomic.
var versioned = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects",
	"swap", "swap-atomic", "swap-large",
	"history", "history-overwriters", "versions",
	"remove", "delete-tells-absent", "purge",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

func TestConformance(t *testing.T) {
	p := newSubject(t, "")
	conformance.Run(t, conformance.Provider{
		Name: "tencent", Claims: neverVersioned, Secrets: p.Secrets,
		Open: p.Reopen, Reopen: p.Reopen, Denied: p.Denied, Expired: p.Expired, Unreachable: p.Unreachable,
	})
}

// TestProbesVersioned holds the store to every clause, and not a vault over it: the suite
// loses answers above the store, which would call such a create [vault.ErrUnsure], and a
// vault that then reads back may meet the value of a loser.
func TestProbesVersioned(t *testing.T) {
	for _, prefix := range []string{"plain-", "bots/conformance/below/"} {
		t.Run(prefix, func(t *testing.T) {
			s := newSubject(t, "Enabled")
			s.Prefix = prefix
			var err error
			if s.Store, err = s.Reopen(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.Store.Close()
			claimed := 0
			for _, p := range probe.All() {
				r := s.Run(t.Context(), p)
				honoured := r.Verdict == probe.Honoured
				switch claims := slices.Contains(versioned, p.Clause); {
				case claims && !honoured:
					t.Errorf("%s is claimed and %s: %v", p.Clause, r.Verdict, r.Err)
				case !claims && honoured && !p.Chance:
					t.Errorf("%s is honoured and not claimed", p.Clause)
				case claims:
					claimed++
				}
				if r.Left != nil {
					t.Errorf("%s: %v", p.Clause, r.Left)
				}
			}
			if claimed != len(versioned) {
				t.Errorf("%d claims hold, want %d", claimed, len(versioned))
			}
		})
	}
}

// newSubject starts a server, and says how to open its bucket. It opens nothing.
func newSubject(t *testing.T, versioning string) *probe.Subject {
	t.Helper()
	s := newServer(t, &costest.Options{Versioning: versioning})
	issuer := newIssuer(t, s)
	nothing := exchanged(t, s, issuer, "nothing", "")
	late := exchanged(t, s, issuer, "late", "")
	s.ExpireKey(late.AccessKeyID)
	client := func(endpoint string, c cosblob.Credentials) func(context.Context) (*vault.Store, error) {
		return func(ctx context.Context) (*vault.Store, error) {
			return tencent.Open(ctx, tencent.Config{Bucket: s.Bucket(), Region: s.Region(), Endpoint: endpoint, Static: c})
		}
	}
	return &probe.Subject{
		Reopen:      client(s.URL(), owner(s)),
		Denied:      client(s.URL(), temporary(nothing)),
		Expired:     client(s.URL(), temporary(late)),
		Unreachable: client(nobody(t), owner(s)),
		Secrets:     []string{s.SecretKey(), nothing.SecretKey.Reveal(), nothing.SessionToken.Reveal(), late.SecretKey.Reveal()},
	}
}

// nobody returns an address where no server is.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
