package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/owed"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// With keys_required = "one", put stores a value although a key source cannot be used now. Package
// owed remembers that the object must be rewrapped for the missing source. vault sync does that.

// owedDir returns the directory of the objects of a store that miss a key.
func (s *session) owedDir(storeID string) (string, error) {
	dir, err := s.places().Owed()
	return filepath.Join(dir, storeID), err
}

// owe remembers that an object of v misses keys, and reports it.
func (s *session) owe(v *opened, info vault.Info) { s.oweFor(v, v.VaultID(), info) }

// oweFor is owe for an object with another vault id.
func (s *session) oweFor(v *opened, vaultID string, info vault.Info) {
	if len(info.MissingKeys) == 0 {
		return
	}
	k := owed.Key{VaultID: vaultID, Tenant: string(info.Tenant), Collection: string(info.Collection), Name: string(info.Name), Missing: info.MissingKeys, Since: s.now().UTC()}
	missing := strings.Join(info.MissingKeys, " and ")
	dir, err := s.owedDir(v.storeID)
	if err == nil {
		err = owed.Add(dir, k)
	}
	if err != nil {
		s.note("%s cannot be opened with %s yet, and vault cannot record the missing key (%v): run %s later", info.Name, missing, err, s.command("keys rewrap %s", shellWord(string(info.Name))))
		return
	}
	s.note("%s cannot be opened with %s yet: %s adds the key", info.Name, missing, s.command("sync"))
}

// owed returns the objects of the store that miss a key, oldest first.
func (s *session) owed(storeID string) ([]owed.Key, error) {
	dir, err := s.owedDir(storeID)
	if err != nil {
		return nil, err
	}
	return owed.List(dir)
}

// addOwed rewraps the objects of the tenant that miss a key. It returns the number of objects that
// still miss one, and the first reason.
func (s *session) addOwed(ctx context.Context, o *opened) (added, left int, cause error) {
	list, err := s.owed(o.storeID)
	if err != nil {
		return 0, 0, nil // there is no place where anything could be remembered
	}
	for _, k := range list {
		if k.Tenant != string(o.Tenant()) || !o.hasSources(k.Missing) {
			continue // another identity or profile adds the keys
		}
		err := s.addKeys(ctx, o, k)
		if err == nil {
			added++
			k.Forget()
			continue
		}
		if left++; cause == nil {
			cause = err
		}
	}
	return added, left, cause
}

func (s *session) addKeys(ctx context.Context, o *opened, k owed.Key) error {
	v, err := o.with(k.Ref())
	if err != nil {
		return err
	}
	result, err := v.Rewrap(ctx, vault.Name(k.Name), nil)
	s.noteUnfinished(result.Name, result.Unfinished)
	s.unfinished += result.Unfinished
	if s.waits(ctx, o, k) { // it is sealed for the same keys as the object was
		return cmp.Or(err, fmt.Errorf("%w: %s", vault.ErrSpooled, k.Name))
	}
	if errors.Is(err, vault.ErrNotFound) {
		return nil // the object was removed
	}
	if errors.Is(err, vault.ErrUnsupported) { // sync may run beside other writers, so it does not write without the condition
		err = hint(err, "while no other program writes %s, run {vault} keys rewrap --no-other-writers %s", k.Name, shellWord(k.Name))
	}
	return err
}

// hasSources reports whether the vault has key sources with all these names.
func (o *opened) hasSources(names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(o.sources, func(s envelope.KeySource) bool { return s.Name() == name }) {
			return false
		}
	}
	return true
}

// waits reports whether the spool has a value of the object.
func (s *session) waits(ctx context.Context, o *opened, k owed.Key) bool {
	if o.spool == nil {
		return false
	}
	entries, err := o.spool.Entries(ctx, k.Ref())
	return err != nil || len(entries) > 0
}

// reportOwed reports what addOwed did.
func (s *session) reportOwed(added, left int, cause error) error {
	if added > 0 {
		s.note("added the missing keys of %s", plural(added, "object", "objects"))
	}
	if left > 0 {
		return fmt.Errorf("%s not sealed for all keys yet: %w", plural(left, "object is", "objects are"), cause)
	}
	return nil
}
