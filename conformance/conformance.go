// Package conformance is the test suite that every provider of objectvault must pass. A
// provider opens a [vault.Store]. The suite checks that the store meets the contract of
// package vault. It also checks that a [vault.Vault] over the store keeps its promises
// when requests and responses are lost.
//
// A provider's test is one call. It lists the clauses that the provider supports, as string
// literals:
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
// A clause is one promise of the contract. [probe.All] returns all clauses, and the comment of
// package probe describes them. The test fails if the store does not support a listed clause, and
// also if it supports a clause that is not listed, so that the list stays exact. The clauses
// create, read-after-write and errors must be listed. The suite logs every clause that is not
// listed as "not claimed", with its result. If a violation of a clause depends on timing
// ([probe.Probe].Chance), the test does not fail when the store supports this clause although it is
// not listed.
//
// A list of claims belongs to one configuration. A bucket with versioning supports other
// clauses than a bucket without it. Run the suite once for each configuration, with a list
// for each.
//
// The suite runs every clause twice: on keys at the top level of the bucket, and on keys
// below a directory. Clauses with large objects run only below a directory, where a vault
// stores its objects. If [Provider].Below is set, every clause runs only there. Keys are
// random, and the suite deletes its objects, so the bucket may contain other objects.
//
// After that, the suite runs vaults with real envelopes over the same store. These checks do not
// depend on the claims. For each request of an operation, the suite runs the operation several
// times more. In one run it drops the request, and the store does nothing. In another run it
// delivers the request, and drops only the response. Each of these faults is tested twice: for this
// request alone, and for this request and all later ones. The suite also truncates response bodies.
// Sixteen concurrent creators lose every response. In all cases an operation must report its
// outcome correctly, a retry must leave exactly one value, and no goroutine may remain.
//
// The checks of the store are in package probe, which programs may use on a bucket in
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

// A Provider describes how to open a store and which clauses it supports. Open and Claims
// are required. The suite skips a check that needs another field if that field is nil or
// zero, and logs it as not claimed.
type Provider struct {
	// Name is the name of the provider in messages.
	Name string
	// Server names the server and its configuration. It is the title of a column in
	// docs/capabilities.md. If it is empty, the page does not include the run.
	Server string
	// Open opens the store. [Run] calls it once.
	Open func(context.Context) (*vault.Store, error)
	// Reopen opens another client of the store that Open opened. Like a client in another
	// process, it shares nothing with the first client except the store.
	Reopen func(context.Context) (*vault.Store, error)
	// Claims lists the clauses that the store must support, as string literals.
	Claims []string
	// Deviations lists clauses that the cloud supports but this server does not, each with the reason.
	// The test fails if the server does support one of them. If a check of a vault depends on one of
	// these clauses, the suite skips the check.
	Deviations map[string]string
	// Denied opens a client without any permission. Expired opens a client whose credentials
	// have expired. Unreachable opens a client whose store does not respond.
	Denied, Expired, Unreachable func(context.Context) (*vault.Store, error)
	// Mirror opens a second, empty store. If it is not nil, the vaults of the suite mirror their objects
	// to it ([vault.Mirror]), and the requests to it fail in every way, too. The clauses, which are about
	// one store, are then not checked.
	Mirror func(context.Context) (*vault.Store, error)
	// Secrets are the credentials of the store. They must not appear in any error or log.
	Secrets []string
	// Tenant is the only tenant whose objects the client may write. If it is empty, the
	// client may write every key.
	Tenant vault.Tenant
	// HidesAbsent means that the store denies reads of objects that do not exist. Clouds do
	// this for a tenant that may list only its own prefix; see [probe.Subject].
	HidesAbsent bool
	// Below skips the run on keys at the top level of the bucket. Set it if the store treats
	// these keys like keys below a directory, or if another run already tests them.
	Below bool
	// Large is the size of a large object. The store must need more than one request to
	// write it; see [probe.Subject].
	Large int64
	// Timeout limits each check. The default is two minutes.
	Timeout time.Duration
}

// closable returns open for stores that may have no Close.
func closable(open func(context.Context) (*vault.Store, error)) func(context.Context) (*vault.Store, error) {
	return func(ctx context.Context) (*vault.Store, error) {
		st, err := open(ctx)
		if err == nil && st.Close == nil {
			own := *st
			own.Close = func() error { return nil }
			st = &own
		}
		return st, err
	}
}

// required lists the clauses that every store must support.
var required = []string{"create", "read-after-write", "errors"}

// Run tests a provider. It reports an error on t for each listed clause that the store does not
// support, for each unlisted clause that it supports, and for each promise that a vault over the
// store breaks. With -short it skips the keys at the top level of the bucket, and all checks
// without concurrent calls.
func Run(t *testing.T, p Provider) {
	if p.Open == nil {
		t.Fatal("the Provider has no Open")
	}
	p.Open = closable(p.Open)
	if p.Reopen != nil {
		p.Reopen = closable(p.Reopen)
	}
	for _, err := range checkClaims(p.Claims, p.Deviations) {
		t.Error(err)
	}
	small := slices.DeleteFunc(probe.All(), func(p probe.Probe) bool { return p.Large })
	leak := watchGoroutines(t.Context())
	defer func() {
		if left := leak.remaining(); left != "" {
			t.Errorf("goroutines are still running after the store was closed:\n%s", left)
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
		if p.Mirror != nil {
			t.Run("vault", func(t *testing.T) { p.vaults(t, store) })
			return
		}
		if !p.Below {
			t.Run("plain", func(t *testing.T) {
				if testing.Short() {
					t.Skip("-short skips keys at the top level of the bucket, because a provider handles them with the same code as keys with a prefix")
				}
				p.probe(t, store, p.plain(), small, seen)
			})
		}
		t.Run("prefix", func(t *testing.T) { p.probe(t, store, p.below(), probe.All(), seen) })
		t.Run("vault", func(t *testing.T) { p.vaults(t, store) })
	})
}

// plain returns a prefix for keys that are in no directory, or in the tenant's directory if
// the client may write only there.
func (p Provider) plain() string {
	if p.Tenant == "" {
		return "conformance-" + random() + "-"
	}
	return "bots/" + string(p.Tenant) + "/" + random() + "-"
}

// below returns a prefix that is a directory.
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

// probe checks clauses on keys that start with prefix.
func (p Provider) probe(t *testing.T, store *vault.Store, prefix string, clauses []probe.Probe, seen *record) {
	s := &probe.Subject{
		Store: store, Reopen: p.Reopen, Prefix: prefix, Large: p.Large, Secrets: p.Secrets, HidesAbsent: p.HidesAbsent,
		Denied: p.Denied, Expired: p.Expired, Unreachable: p.Unreachable,
	}
	for _, clause := range clauses {
		t.Run(clause.Clause, func(t *testing.T) {
			if testing.Short() && !isConcurrent(clause) {
				t.Skip("-short skips checks without concurrent calls")
			}
			ctx, cancel := context.WithTimeout(t.Context(), p.timeout())
			defer cancel()
			s.Store, s.Reopen = p.subject(clause.Clause, store)
			r := s.Run(ctx, clause)
			// Repeat the check if a connection broke, or if a known violation did not show:
			// it may depend on timing.
			for range 2 {
				if p.isFinal(r) || ctx.Err() != nil {
					break
				}
				t.Logf("%s: %s is %s and is checked again: %v", p.Name, r.Clause, r.Verdict, r.Err)
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

// isConcurrent reports whether the check of a clause makes concurrent requests.
func isConcurrent(p probe.Probe) bool {
	return p.Large || p.Chance || slices.Contains([]string{"two-clients", "create-detects", "history-overwriters"}, p.Clause)
}

// isFinal reports whether repeating the check of a clause could not change its result.
func (p Provider) isFinal(r probe.Result) bool {
	if p.deviates(r.Clause) {
		return r.Verdict == probe.NotSupported
	}
	return r.Verdict != probe.NotProven || !p.claims(r.Clause)
}

// judge compares a verdict with the claims and the known deviations. It returns a note for
// the log, or an error if they differ.
func judge(p probe.Probe, r probe.Result, claimed bool, deviation string) (note string, err error) {
	switch {
	case deviation != "" && (r.Verdict == probe.NotSupported || r.Verdict == probe.Supported && p.Chance):
		return fmt.Sprintf("known deviation: %s: %s", p.Clause, deviation), nil
	case deviation != "" && r.Err == nil:
		return "", fmt.Errorf("%s is listed in Deviations (%s), but the result is %s: move it to Claims", p.Clause, deviation, r.Verdict)
	case deviation != "":
		return "", fmt.Errorf("%s is listed in Deviations (%s), but the result is %s: %w", p.Clause, deviation, r.Verdict, r.Err)
	case claimed && r.Verdict == probe.Supported:
		return "", nil
	case claimed:
		return "", fmt.Errorf("%s is listed in Claims (%s), but the result is %s: %w", p.Clause, p.Doc, r.Verdict, r.Err)
	case r.Verdict == probe.Supported && p.Chance:
		return fmt.Sprintf("not claimed: %s: no violation was detected", p.Clause), nil
	case r.Verdict == probe.Supported:
		return "", fmt.Errorf("the store supports %s (%s): add it to Claims", p.Clause, p.Doc)
	default:
		return fmt.Sprintf("not claimed: %s is %s: %v", p.Clause, r.Verdict, r.Err), nil
	}
}

// checkClaims rejects unknown, repeated and missing clauses.
func checkClaims(claims []string, deviations map[string]string) (errs []error) {
	known := make(map[string]bool)
	for _, p := range probe.All() {
		known[p.Clause] = true
	}
	seen := make(map[string]bool)
	for _, c := range claims {
		if !known[c] {
			errs = append(errs, fmt.Errorf("%q in Claims is not a clause", c))
		}
		if seen[c] {
			errs = append(errs, fmt.Errorf("%q is in Claims twice", c))
		}
		seen[c] = true
	}
	for c := range deviations {
		if !known[c] {
			errs = append(errs, fmt.Errorf("%q in Deviations is not a clause", c))
		}
		if seen[c] {
			errs = append(errs, fmt.Errorf("%q is in both Claims and Deviations", c))
		}
		seen[c] = true
	}
	for _, c := range required {
		if !seen[c] {
			errs = append(errs, fmt.Errorf("%q is required: add it to Claims or Deviations", c))
		}
	}
	return errs
}

// vaults runs every check of a vault over the store.
func (p Provider) vaults(t *testing.T, store *vault.Store) {
	store = p.claimed(store)
	var mirror *vault.Store
	if p.Mirror != nil {
		var err error
		if mirror, err = p.Mirror(t.Context()); err != nil {
			t.Fatalf("open the mirror of %s: %v", p.Name, err)
		}
		defer mirror.Close()
	}
	for _, c := range vaultChecks {
		t.Run(c.name, func(t *testing.T) {
			if c.serial && testing.Short() {
				t.Skip("-short skips checks without concurrent calls")
			}
			ctx, cancel := context.WithTimeout(t.Context(), p.timeout())
			defer cancel()
			f := newFixture(p, store)
			f.mirror = mirror
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

// subject returns the store to check a clause on, and a function that opens another client
// of it. It removes features that the provider does not claim, unless the clause tests them.
func (p Provider) subject(clause string, store *vault.Store) (*vault.Store, func(context.Context) (*vault.Store, error)) {
	about := func(full *vault.Store) *vault.Store {
		s := p.claimed(full)
		switch clause {
		case "swap", "swap-atomic", "swap-large":
			s.Swap = full.Swap
		case "splice":
			s.Splice = full.Splice
		case "splice-atomic":
			s.Swap, s.Splice = full.Swap, full.Splice
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

// claimed returns a copy of store without the features that the provider does not claim. For
// example, the store supports a history, but the bucket has no versions.
func (p Provider) claimed(store *vault.Store) *vault.Store {
	s := *store
	if !p.claims("history") {
		s.History, s.Purge = nil, nil
	}
	if !p.claims("purge") {
		s.Purge = nil
	}
	if !p.claims("swap") {
		s.Swap = nil // keep Tag: it shows whether an object was replaced
	}
	if !p.claims("splice") {
		s.Splice = nil
	}
	return &s
}

func random() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}
