package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// This file opens the mirrors of a profile. Each is opened at its first request.

// openMirrors opens the mirrors of the settings of a vault.
func (s *session) openMirrors(set config.Settings, o *opened, tenant vault.Tenant, sources []envelope.KeySource, options *vault.Options) (*vault.Mirror, error) {
	if len(set.Mirrors) == 0 {
		return nil, nil
	}
	if set.Write.Text != "" {
		return nil, usagef("%s: write = %q cannot be combined with mirrors", set.Write.From, set.Write.Text)
	}
	mirror := &vault.Mirror{Quorum: set.Quorum, Behind: s.noteBehind, Fallback: s.noteFallback}
	for _, v := range set.Mirrors {
		m, err := s.openMirror(v, set, o, tenant, sources, options)
		if err != nil {
			return nil, err
		}
		if m.storeID == o.storeID || slices.ContainsFunc(o.mirrors, func(other *opened) bool { return other.storeID == m.storeID }) {
			return nil, hint(usagef("%s: %s is the same store as another one of the profile", v.From, shownURL(v.Text)), mirrorHelp)
		}
		o.mirrors = append(o.mirrors, m)
		mirror.Vaults = append(mirror.Vaults, m.Vault)
	}
	return mirror, nil
}

const mirrorHelp = "docs/copies.md describes the mirrors of a profile"

// ofMirror returns a session with the settings of a mirror, and these settings.
func (s *session) ofMirror(v config.Value) (*session, config.Settings, error) {
	other, err := s.ofStore(v.Text), error(nil)
	if !isURL(v.Text) {
		other, err = s.ofProfile(v.Text)
	}
	if err != nil {
		return nil, config.Settings{}, from(v, err)
	}
	other.createsStore = s.createsStore
	set, err := other.settings()
	if err == nil && !isURL(v.Text) && (set.ReadOnly || set.Scope != nil) {
		err = hint(usagef("%s: the profile %s is read-only or has a scope, and cannot be a mirror", v.From, v.Text), mirrorHelp)
	}
	return other, set, err
}

// mirrorLabel names a mirror in messages: two stores may have buckets of the same name.
func mirrorLabel(v config.Value, set config.Settings) string {
	if isURL(v.Text) {
		return storeName(set.Store.Text)
	}
	return v.Text + " (" + storeName(set.Store.Text) + ")"
}

// mirrorSpool opens the spool with the notes about what a mirror does not have. It is in the directory of
// the spool of the store, also if that store has none; nil: it is switched off.
func (s *session) mirrorSpool(set config.Settings, store, mirror string) (*spool.Spool, error) {
	if set.Spool.Text == config.SpoolOff {
		return nil, nil
	}
	set.SpoolRequired = false
	sum := sha256.Sum256([]byte(store + "\x00" + mirror))
	return s.openSpoolOf(set, hex.EncodeToString(sum[:8]), "", 0)
}

func (s *session) openMirror(v config.Value, primary config.Settings, o *opened, tenant vault.Tenant, sources []envelope.KeySource, options *vault.Options) (*opened, error) {
	other, set, err := s.ofMirror(v)
	if err != nil {
		return nil, err
	}
	for _, same := range []struct{ what, mirror, own string }{
		{"vault id", set.VaultID.Text, options.VaultID},
		{"tenant", set.Tenant.Text, string(tenant)},
		{"collection", set.Collection.Text, string(options.Collection)},
	} {
		if same.mirror != same.own && (same.mirror != "" || same.what == "vault id") {
			if t, err := vault.ParseTenant(same.mirror); same.what == "tenant" && err == nil && t == tenant {
				continue
			}
			return nil, hint(usagef("%s: %s has the %s %q, and the profile has %q: they must be the same", v.From, shownURL(v.Text), same.what, same.mirror, same.own), mirrorHelp)
		}
	}
	location, err := other.location(set)
	if err != nil {
		return nil, err
	}
	if location.Role == "" { // no token names the tenant
		set.Tenant = config.Value{Text: string(tenant), From: v.From}
	}
	m := &opened{settings: set, storeID: location.SpoolID(), sources: sources, keyed: len(sources) > 0}
	if m.spool, err = s.mirrorSpool(primary, o.storeID, m.storeID); err != nil {
		return nil, err
	}
	m.options = *options
	m.options.Seen, m.options.Legacy, m.options.LegacyWriter, m.options.Spool, m.options.Mirror = nil, nil, nil, nil, nil
	if m.spool != nil {
		m.options.Spool = m.spool
	}
	m.store = other.deferredStore(set, location, tenant)
	m.store.Name = mirrorLabel(v, set)
	if m.Vault, err = vault.New(m.store, tenant, sources, &m.options); err != nil {
		return nil, from(v, err)
	}
	if m.keyed {
		m.sealing = m.Vault
	}
	return m, nil
}

// A behindLog contains the changes that a store does not have yet, and the mirrors that answered a read.
type behindLog struct {
	mu        sync.Mutex
	changes   []vault.Behind
	fallbacks []string
}

// maxBehind limits the changes that a long-running command remembers for its output.
const maxBehind = 1000

// stores returns the stores that do not have a name yet.
func (l *behindLog) stores(name vault.Name) (stores []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.changes {
		if b.Name == name && !slices.Contains(stores, b.Store) {
			stores = append(stores, b.Store)
		}
	}
	return stores
}

// noteBehind mentions a store that does not have a change yet.
func (s *session) noteBehind(b vault.Behind) {
	s.behind.mu.Lock()
	if len(s.behind.changes) < maxBehind {
		s.behind.changes = append(s.behind.changes, b)
	}
	s.behind.mu.Unlock()
	next := "{vault} sync repairs it"
	switch {
	case errors.Is(b.Err, vault.ErrConflict):
		start, mirror, first := s.mirrorCopy()
		next = fmt.Sprintf("{vault} get {name} --all compares the stores; then %s %s %s {name} --force keeps the value of the mirror, and %s %s %s {name} --force that of the first store", start, mirror, first, start, first, mirror)
	case errors.Is(b.Err, vault.ErrSpooled):
		next = "later commands and {vault} sync send it"
	}
	r := s.filled(report{Name: string(b.Name), Hint: next})
	s.note("%s: %s does not have the change yet: %s; %s", b.Name, b.Store, explain("", causeOf(b.Err)).Message, r.Hint)
}

// noteFallback mentions, once, a mirror that answers in place of the primary store.
func (s *session) noteFallback(store string, err error) {
	s.behind.mu.Lock()
	defer s.behind.mu.Unlock()
	if slices.Contains(s.behind.fallbacks, store) {
		return
	}
	s.behind.fallbacks = append(s.behind.fallbacks, store)
	s.note("read from the mirror %s, because %s failed: %s", store, s.opened.store.Name, explain("", err).Message)
}

// flushMirrors sends the due changes of the mirrors, for a short time. It never fails the command.
func (s *session) flushMirrors(ctx context.Context, o *opened) {
	for _, m := range o.mirrors {
		if m.spool == nil || m.sealing == nil {
			continue
		}
		all, err := m.spool.All(ctx)
		if err != nil || len(all) == 0 {
			continue
		}
		brief, cancel := briefly(ctx)
		sum, err := s.send(brief, m, m.spool, m.sealing, spool.SyncOptions{OnlyDue: true}, nil)
		cancel()
		if err == nil && sum.Sent > 0 {
			s.note("made %s in the mirror %s", plural(sum.Sent, "change", "changes"), m.store.Name)
		}
	}
}

// mirrorsWait reports whether a mirror does not have a change of this machine.
func (s *session) mirrorsWait(ctx context.Context) bool {
	spools, err := s.machineSpools()
	for _, sp := range spools {
		if sp.mirror == "" {
			continue
		}
		if all, aerr := sp.All(ctx); aerr != nil || len(all) > 0 {
			return true
		}
	}
	return err != nil
}

// syncMirrors makes the changes that the mirrors do not have yet, and adds them to sum.
func (s *session) syncMirrors(ctx context.Context, o *opened, sum spool.Summary, each func(spool.Result) bool) (spool.Summary, error) {
	for i, m := range o.mirrors {
		if m.spool == nil {
			continue
		}
		mirror := func(ref envelope.Ref) (*vault.Vault, error) {
			_, mirrors, err := o.withMirrors(ref)
			if err != nil {
				return nil, err
			}
			return mirrors[i], nil
		}
		part, err := s.syncParts(ctx, o, m.spool, mirror, each)
		if err != nil {
			return sum, err
		}
		sum.Sent += part.Sent
		sum.Pending += part.Pending
		sum.Refused += part.Refused
		if sum.Cause == nil {
			sum.Cause = part.Cause
		}
	}
	return sum, nil
}

// repaired is a line of sync --json about a name that differed between two stores.
type repaired struct {
	Mirror     string     `json:"mirror"`
	Name       vault.Name `json:"name,omitempty"`
	Status     string     `json:"status"`               // copied, restored, removed, extra, different or failed
	Unfinished int64      `json:"unfinished,omitempty"` // bytes of uploads that may remain
	Error      *report    `json:"error,omitempty"`
}

// repair compares the mirrors with the primary store, and copies what is newer.
func (s *session) repair(ctx context.Context, o *opened) error {
	if o.options.Scope.ReadOnly {
		s.note("the profile is read-only: the mirrors are not repaired")
		return nil
	}
	copied, failed := 0, 0
	for r, err := range o.Repair(ctx, nil) {
		l := repaired{Mirror: r.Store, Name: r.Name, Status: string(r.Status), Unfinished: r.Unfinished}
		s.noteUnfinished(r.Name, r.Unfinished)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(r.Err, vault.ErrLegacy):
			continue // an object of agentKeys is in the first store only
		case err != nil || r.Err != nil:
			failed++
			failure := s.filled(explain("sync", errors.Join(err, r.Err)))
			l.Status, l.Error = string(vault.CopyFailed), &failure
		case r.Removed:
			copied++
			l.Status = "removed"
		case r.Restored:
			copied++
			l.Status = "restored"
		case r.Status == vault.CopySame, r.Status == vault.CopyGone, r.Status == vault.CopyForeign:
			s.unfinished += r.Unfinished // no line has it
			continue
		case r.Status == vault.CopyCopied:
			copied++
		case r.Status == vault.CopyExists:
			failed++
			l.Status = "different"
		case r.Status == vault.CopyExtra:
			l.Status = string(vault.CopyExtra)
		}
		if s.json {
			if err := s.print(l); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(s.out, "%s\t%s\t%s\n", l.Status, visible(string(l.Name)), l.Mirror); err != nil {
			return err
		}
		if l.Error != nil {
			s.printError(*l.Error)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %s not repaired", errPartial, plural(failed, "name or mirror was", "names or mirrors were"))
	}
	if copied > 0 {
		s.note("%s repaired", plural(copied, "name was", "names were"))
	}
	return nil
}

// A machineSpool is a spool on this machine for the settings: that of their store, or that of a mirror.
type machineSpool struct {
	*spool.Spool
	mirror string // the store; empty: that of the settings
}

// machineSpools returns the spool of the store, if it has one, and those of the mirrors.
func (s *session) machineSpools() ([]machineSpool, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	var all []machineSpool
	own, none := s.ownSpool()
	if own != nil {
		all = append(all, machineSpool{Spool: own})
	}
	primary, err := s.location(set)
	if err != nil {
		return nil, err
	}
	for _, v := range set.Mirrors {
		other, mset, err := s.ofMirror(v)
		if err != nil {
			return nil, err
		}
		location, err := other.location(mset)
		if err != nil {
			return nil, err
		}
		sp, err := s.mirrorSpool(set, primary.SpoolID(), location.SpoolID())
		if err != nil {
			return nil, err
		}
		if sp != nil {
			all = append(all, machineSpool{sp, mirrorLabel(v, mset)})
		}
	}
	if len(all) == 0 {
		return nil, none
	}
	return all, nil
}

// spoolOf returns the spool that has the entry with the given id, or else the first one.
func (s *session) spoolOf(ctx context.Context, id string) (machineSpool, error) {
	all, err := s.machineSpools()
	if err != nil {
		return machineSpool{}, err
	}
	for _, sp := range all[1:] {
		rows, err := spoolRows(ctx, sp)
		if err != nil {
			return machineSpool{}, err
		}
		if slices.ContainsFunc(rows, func(r spoolRow) bool { return r.ID == id || spool.ShortID(r.ID) == id }) {
			return sp, nil
		}
	}
	return all[0], nil
}
