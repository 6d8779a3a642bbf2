// Package conformance is the suite that every provider of objectvault passes. A
// provider opens a [vault.Store]; the suite holds the store to the contract that
// package vault states, and a [vault.Vault] over that store to its promises while
// requests and answers get lost.
//
// A provider's test is one call. It holds a literal list of what the provider claims:
//
//	func TestConformance(t *testing.T) {
//		ctx, bucket := t.Context(), startServer(t)
//		conformance.Run(t, conformance.Provider{
//			Name:   "acme",
//			Open:   func(ctx context.Context) (*vault.Store, error) { return acme.Open(ctx, acme.Config{Bucket: bucket}) },
//			Reopen: func(ctx context.Context) (*vault.Store, error) { return acme.Open(ctx, acme.Config{Bucket: bucket}) },
//			Claims: []string{"read-after-write", "create", "errors", "sizes", "list"},
//		})
//	}
//
// The clauses are those of [probe.All]; the comment of package probe says what each
// promises. A clause that is claimed and not honoured fails the test, and so does one
// that is honoured and not claimed: a list that has to be exact cannot rot. The
// clauses create, read-after-write and errors have to be claimed. What is not claimed
// is logged as "not claimed", with what was seen. Only of clauses where a violation
// shows by chance ([probe.Probe].Chance) a pass need not be claimed.
//
// Claims are those of one configuration. A bucket with versions promises other things
// than one without: run the suite once for each, with a list for each.
//
// Everything runs twice, on keys at the top of the bucket and on keys below a
// directory; only what takes large objects runs once, below a directory, where a vault's
// are, and all of it where [Provider].Below says that the two cannot differ. Keys are random and are removed again, so the bucket need not be empty.
// Then vaults with real envelopes run over the same store; their part is not a matter
// of claims. Each request that an operation makes is lost before it took effect and
// after it did, once and for good; bodies are cut; sixteen creators lose every answer.
// What must hold: an operation tells the truth about what it did, a retry leaves
// exactly one value, and no goroutine stays behind.
//
// The checks of the store live in package probe, which programs may use on a bucket in
// production. This package is for tests.
package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// A Provider says how to reach a store, and what it claims. Open and Claims are
// required; any other field that is nil or zero does not apply, and what needs it is
// logged as not claimed.
type Provider struct {
	// Name is what the provider is called in messages.
	Name string
	// Server is what it runs on, and how that is set up, for a table of what was seen; see
	// docs/capabilities.md. Empty leaves the run out of it.
	Server string
	// Open opens the store, once a [Run].
	Open func(context.Context) (*vault.Store, error)
	// Reopen opens another client of the store that Open opened, as another process
	// would: it shares nothing with the first one but the store.
	Reopen func(context.Context) (*vault.Store, error)
	// Claims are the clauses that the store must honour, as a literal list.
	Claims []string
	// Deviations are clauses that the cloud honours and this server is known not to, each
	// with the reason. The test fails when the server honours one after all. A vault over
	// it is spared what needs them.
	Deviations map[string]string
	// Denied opens a client that the store knows and allows nothing, Expired one whose
	// credentials have expired, Unreachable one whose store does not answer.
	Denied, Expired, Unreachable func(context.Context) (*vault.Store, error)
	// Secrets are the store's credentials, which must not appear in any error or log.
	Secrets []string
	// Tenant is whose objects the client may write, where a policy limits it to one.
	// Empty means that every key may be written.
	Tenant vault.Tenant
	// HidesAbsent says that the store denies a read of what is not there, as it does to a
	// tenant who may list only below a prefix; see [probe.Subject].
	HidesAbsent bool
	// Below leaves out the run on keys at the top of the bucket. It is for a store that
	// cannot tell them from keys below a directory, or that is, but for what another run
	// judges, the same as one that had both.
	Below bool
	// Large is the length of a large object, past what the store takes in one request;
	// see [probe.Subject].
	Large int64
	// Timeout limits each check; 0 means two minutes.
	Timeout time.Duration
}

// required are the clauses without which a store is of no use.
var required = []string{"create", "read-after-write", "errors"}

// Run judges a provider. It fails t for each clause that is claimed and not honoured,
// or honoured and not claimed, and for each promise that a vault over the store breaks.
// With -short it leaves out the keys at the top of the bucket, and what does many things one
// after the other.
func Run(t *testing.T, p Provider) {
	for _, err := range checkClaims(p.Claims, p.Deviations) {
		t.Error(err)
	}
	small := slices.DeleteFunc(probe.All(), func(p probe.Probe) bool { return p.Large })
	leak := watchGoroutines(t.Context())
	defer func() {
		if left := leak.left(); left != "" {
			t.Errorf("after the store was closed goroutines are left:\n%s", left)
		}
	}()
	seen := newRecord(p)
	defer seen.write(t)
	leak.do(func(ctx context.Context) {
		store, err := p.Open(ctx)
		if err != nil {
			t.Fatalf("open %s: %v", p.Name, err)
		}
		defer func() {
			if err := store.Close(); err != nil {
				t.Errorf("close %s: %v", p.Name, err)
			}
		}()
		if !p.Below {
			t.Run("plain", func(t *testing.T) {
				if testing.Short() {
					t.Skip("it is the server that could tell these keys from others")
				}
				p.probe(t, store, p.plain(), small, seen)
			})
		}
		t.Run("prefix", func(t *testing.T) { p.probe(t, store, p.below(), probe.All(), seen) })
		t.Run("vault", func(t *testing.T) { p.vaults(t, store) })
	})
}

// plain is a prefix of keys that are in no directory, as far as the tenant may write
// there; below is a directory.
func (p Provider) plain() string {
	if p.Tenant == "" {
		return "conformance-" + random() + "-"
	}
	return "bots/" + string(p.Tenant) + "/" + random() + "-"
}

func (p Provider) below() string { return "bots/" + string(p.tenant()) + "/" + random() + "/" }

func (p Provider) tenant() vault.Tenant {
	if p.Tenant == "" {
		return "conformance"
	}
	return p.Tenant
}

func (p Provider) timeout() time.Duration {
	if p.Timeout == 0 {
		return 2 * time.Minute
	}
	return p.Timeout
}

// probe judges clauses on keys that start with prefix.
func (p Provider) probe(t *testing.T, store *vault.Store, prefix string, clauses []probe.Probe, seen *record) {
	s := &probe.Subject{
		Store: store, Reopen: p.Reopen, Prefix: prefix, Large: p.Large, Secrets: p.Secrets, HidesAbsent: p.HidesAbsent,
		Denied: p.Denied, Expired: p.Expired, Unreachable: p.Unreachable,
	}
	for _, clause := range clauses {
		t.Run(clause.Clause, func(t *testing.T) {
			if testing.Short() && !raced(clause) {
				t.Skip("one thing after the other")
			}
			ctx, cancel := context.WithTimeout(t.Context(), p.timeout())
			defer cancel()
			s.Store, s.Reopen = p.subject(clause.Clause, store)
			r := s.Run(ctx, clause)
			// A broken connection is no verdict, and what a server breaks may work by chance.
			for range 2 {
				if p.settled(r) || ctx.Err() != nil {
					break
				}
				t.Logf("%s: %s is %s, once more: %v", p.Name, r.Clause, r.Verdict, r.Err)
				r = s.Run(ctx, clause)
			}
			note, err := judge(clause, r, p.claims(clause.Clause), p.Deviations[clause.Clause])
			if err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			seen.add(clause.Clause, err)
			if note != "" {
				t.Logf("%s: %s", p.Name, note)
			}
			if r.Left != nil {
				t.Errorf("%s: %v", p.Name, r.Left)
			}
		})
	}
}

// raced reports whether a clause has several things happen at once.
func raced(p probe.Probe) bool {
	return p.Large || p.Chance || slices.Contains([]string{"two-clients", "create-detects", "history-overwriters"}, p.Clause)
}

// settled reports whether another run of a clause could show nothing new.
func (p Provider) settled(r probe.Result) bool {
	if p.deviates(r.Clause) {
		return r.Verdict == probe.NotHonoured
	}
	return r.Verdict != probe.NotProven || !p.claims(r.Clause)
}

// judge compares a verdict with what is claimed, or known to be otherwise. note is for
// the log.
func judge(p probe.Probe, r probe.Result, claimed bool, deviation string) (note string, err error) {
	switch {
	case deviation != "" && (r.Verdict == probe.NotHonoured || r.Verdict == probe.Honoured && p.Chance):
		return fmt.Sprintf("known deviation: %s: %s", p.Clause, deviation), nil
	case deviation != "" && r.Err == nil:
		return "", fmt.Errorf("%s is a known deviation (%s), and now is %s: claim it", p.Clause, deviation, r.Verdict)
	case deviation != "":
		return "", fmt.Errorf("%s is a known deviation (%s), and now is %s: %w", p.Clause, deviation, r.Verdict, r.Err)
	case claimed && r.Verdict == probe.Honoured:
		return "", nil
	case claimed:
		return "", fmt.Errorf("%s is claimed (%s) and %s: %w", p.Clause, p.Doc, r.Verdict, r.Err)
	case r.Verdict == probe.Honoured && p.Chance:
		return fmt.Sprintf("not claimed: %s, no violation was seen", p.Clause), nil
	case r.Verdict == probe.Honoured:
		return "", fmt.Errorf("%s is honoured (%s) and not claimed: claim it", p.Clause, p.Doc)
	default:
		return fmt.Sprintf("not claimed: %s, %s: %v", p.Clause, r.Verdict, r.Err), nil
	}
}

// checkClaims refuses lists that cannot be meant.
func checkClaims(claims []string, deviations map[string]string) (errs []error) {
	known := make(map[string]bool)
	for _, p := range probe.All() {
		known[p.Clause] = true
	}
	seen := make(map[string]bool)
	for _, c := range claims {
		if !known[c] {
			errs = append(errs, fmt.Errorf("claim %q: there is no such clause", c))
		}
		if seen[c] {
			errs = append(errs, fmt.Errorf("claim %q: listed twice", c))
		}
		seen[c] = true
	}
	for c := range deviations {
		if !known[c] {
			errs = append(errs, fmt.Errorf("deviation %q: there is no such clause", c))
		}
		if seen[c] {
			errs = append(errs, fmt.Errorf("deviation %q: it is claimed", c))
		}
		seen[c] = true
	}
	for _, c := range required {
		if !seen[c] {
			errs = append(errs, fmt.Errorf("claim %q: it cannot be left out", c))
		}
	}
	return errs
}

// vaults runs every check of a vault over the store.
func (p Provider) vaults(t *testing.T, store *vault.Store) {
	store = p.claimed(store)
	for _, c := range vaultChecks {
		t.Run(c.name, func(t *testing.T) {
			if c.serial && testing.Short() {
				t.Skip("one thing after the other")
			}
			ctx, cancel := context.WithTimeout(t.Context(), p.timeout())
			defer cancel()
			f := newField(p, store)
			err := c.check(ctx, f)
			if errors.Is(err, errNotOffered) {
				t.Logf("%s: not claimed: %v", p.Name, err)
			} else if err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			if err := f.clean(ctx); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		})
	}
}

// subject is the store that a clause is judged on, and another client of it: what is
// offered and not claimed is left out, where the clause is not about that.
func (p Provider) subject(clause string, store *vault.Store) (*vault.Store, func(context.Context) (*vault.Store, error)) {
	about := func(full *vault.Store) *vault.Store {
		s := p.claimed(full)
		switch clause {
		case "swap", "swap-atomic", "swap-large":
			s.Swap = full.Swap
		case "history", "history-overwriters", "versions", "purge":
			s.History, s.Purge = full.History, full.Purge
		}
		return s
	}
	if p.Reopen == nil {
		return about(store), nil
	}
	return about(store), func(ctx context.Context) (*vault.Store, error) {
		st, err := p.Reopen(ctx)
		if err != nil {
			return nil, err
		}
		return about(st), nil
	}
}

// claimed is store without what it offers and does not claim: a store may offer its
// history, and the bucket have none.
func (p Provider) claimed(store *vault.Store) *vault.Store {
	s := *store
	if !p.claims("history") {
		s.History, s.Purge = nil, nil
	}
	if !p.claims("purge") {
		s.Purge = nil
	}
	if !p.claims("swap") {
		s.Swap = nil // the tag stays: it tells whether an object was replaced
	}
	return &s
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
