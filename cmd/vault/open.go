package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
	"github.com/objectvault/objectvault/vaulturl"
)

// This file opens the store and the keys that flags, environment and profile select. Package
// vaulturl knows the existing kinds of stores and key sources.

// A keyNeed describes whether a command needs keys.
type keyNeed int

const (
	noKeys   keyNeed = iota // the command does not open the keys
	anyKeys                 // the default key may be missing
	mustKeys                // a missing key is an error
)

// opened is a vault, with its store and the settings that describe it.
type opened struct {
	*vault.Vault
	store    *vault.Store
	settings config.Settings
	keyed    bool     // the vault has keys
	prints   []string // the fingerprints of the root keys
	others   []string // the names of the other key sources

	spool   *spool.Spool // nil: there is none for this store
	sealing *vault.Vault // the vault with keys, for the entries of the spool; nil: there are no keys
	storeID string       // identifies the store in the files of this machine
	sources []envelope.KeySource
	options vault.Options
	mirrors []*opened // the mirrors of the profile
}

func (o *opened) close() error {
	for _, m := range o.mirrors {
		m.close()
	}
	return o.store.Close()
}

// storeOnly returns the vault without its mirrors and its spool: what it returns is in the store.
func (o *opened) storeOnly() (*vault.Vault, error) {
	options := o.options
	options.Mirror, options.Spool = nil, nil
	return vault.New(o.store, o.Tenant(), o.sources, &options)
}

// open opens the vault that flags, environment and profile describe. It checks these settings
// before it opens the store.
func (s *session) open(ctx context.Context, need keyNeed) (*opened, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	if _, err := vault.ParseTenant(set.Tenant.Text); err != nil {
		return nil, from(set.Tenant, err)
	}
	o := &vault.Options{VaultID: set.VaultID.Text, Now: s.now, Log: s.log(), OneKeySuffices: set.KeysRequired.Text == config.KeysOne}
	if o.Collection, err = vault.ParseCollection(set.Collection.Text); err != nil {
		return nil, from(set.Collection, err)
	}
	if _, err := vault.ParseVaultID(set.VaultID.Text); err != nil {
		return nil, from(set.VaultID, err)
	}
	if o.Scope, err = scope(set); err != nil {
		return nil, err
	}
	o.ObserveOperation = s.logOperations(set)
	location, err := s.location(set)
	if err != nil {
		return nil, err
	}
	opened := &opened{settings: set, storeID: location.SpoolID()}
	if opened.spool, err = s.openSpool(set, location, s.spoolLimit); err != nil {
		return nil, err
	}
	if o.Seen, err = s.openSeen(set, location); err != nil {
		return nil, err
	}
	var tenant vault.Tenant
	if opened.spool != nil {
		o.Spool = opened.spool
	}
	if opened.spool != nil || len(set.Mirrors) > 0 { // these do not need the store at once
		if _, err := s.planOffline(ctx, set); err != nil {
			return nil, err
		}
		if known, ok := s.tenantOffline(ctx, set, location); ok {
			tenant, opened.store = known, s.deferredStore(set, location, known)
		}
	}
	var plan *plan
	if opened.store == nil {
		if plan, err = s.plan(ctx, set); err != nil {
			return nil, err
		}
	}
	sources, err := s.keys(ctx, set, need, opened)
	if err != nil {
		return nil, err
	}
	if opened.store == nil {
		if tenant, err = plan.tenant(ctx); err != nil {
			return nil, err
		}
		if opened.store, err = plan.open(ctx); err != nil {
			return nil, err
		}
	}
	if o.Legacy, err = s.openLegacy(ctx, set, need, tenant); err == nil {
		o.LegacyWriter, err = legacyWriter(set, need, o.Legacy)
	}
	if err == nil {
		o.Mirror, err = s.openMirrors(set, opened, tenant, sources, o)
	}
	if err == nil {
		opened.Vault, err = vault.New(opened.store, tenant, sources, o)
	}
	if err != nil {
		opened.close()
		return nil, err
	}
	s.opened, opened.sources, opened.options = opened, sources, *o
	if opened.spool != nil {
		if opened.sealing = opened.Vault; need == noKeys && !s.flushesLater {
			opened.sealing = s.sealing(ctx, set, opened, tenant, *o)
		}
		if !s.flushesLater {
			s.flush(ctx, opened)
		}
	}
	if !s.flushesLater {
		s.flushMirrors(ctx, opened)
	}
	return opened, nil
}

// sealing returns the vault with keys, for a command that needs none itself; nil: there are no keys.
func (s *session) sealing(ctx context.Context, set config.Settings, o *opened, tenant vault.Tenant, options vault.Options) *vault.Vault {
	scratch := *o
	sources, err := s.keys(ctx, set, anyKeys, &scratch)
	if err != nil || len(sources) == 0 {
		return nil
	}
	scratch.mirrors = nil
	if options.Mirror, err = s.openMirrors(set, &scratch, tenant, sources, &options); err != nil {
		return nil
	}
	v, err := vault.New(o.store, tenant, sources, &options)
	if err != nil {
		return nil
	}
	return v
}

// A plan describes the store of the settings before it is opened.
type plan struct {
	*vaulturl.Location
	session  *session
	set      config.Settings // if they name no identity, it may be the machine's
	identity *identity       // nil: the store needs no credentials, or finds them without an identity
}

// location parses the URL of the store, or of the default one.
func (s *session) location(set config.Settings) (*vaulturl.Location, error) {
	storeURL := set.Store.Text
	if storeURL == "" {
		dir, err := s.places().Store()
		if err != nil {
			return nil, noHome(err)
		}
		storeURL = fileURL(dir)
	}
	location, err := vaulturl.ParseStore(storeURL, &vaulturl.Options{
		Identity: set.Identity.Text, Timeout: set.Timeout, MustExist: !s.createsStore, Unsynced: s.noteUnsynced, Getenv: s.getenv, Now: s.now,
	})
	if err != nil {
		return nil, atURL(set.Store, err)
	}
	return location, nil
}

// plan parses the URL of the store, and prepares the identity if the URL has a role.
func (s *session) plan(ctx context.Context, set config.Settings) (*plan, error) {
	return s.planWith(ctx, set, false)
}

// planOffline is plan without a request.
func (s *session) planOffline(ctx context.Context, set config.Settings) (*plan, error) {
	return s.planWith(ctx, set, true)
}

func (s *session) planWith(ctx context.Context, set config.Settings, offline bool) (*plan, error) {
	location, err := s.location(set)
	if err != nil {
		return nil, err
	}
	if location.Identity != "" {
		set.Identity = config.Value{Text: location.Identity, From: location.IdentityFrom}
	}
	p := &plan{Location: location, session: s, set: set}
	switch {
	case location.Role != "":
		p.identity = &identity{session: s, Location: location, set: set, offline: offline}
		return p, p.identity.prepare(ctx)
	case set.Identity.Text != "" && !location.InCloud() && (set.Store.Text == "" || s.aboutIdentity):
		return nil, hint(usagef("%s: this store uses no identity", set.Identity.From), roleHint)
	case set.Identity.Text != "" && !location.InCloud():
		return nil, hint(usagef("%s: this store uses no identity", set.Identity.From), "%s", location.RoleAdvice())
	case set.Identity.Text != "":
		return nil, hint(usagef("%s: an identity requires role= in the store URL", set.Identity.From), "%s", location.RoleAdvice())
	}
	return p, nil
}

// tenant returns the tenant of the settings, or else the tenant of the identity.
func (p *plan) tenant(ctx context.Context) (vault.Tenant, error) {
	if p.identity != nil {
		return p.identity.tenant(ctx)
	}
	return vault.ParseTenant(p.set.Tenant.Text)
}

// open opens the store. If the store does not exist and need not, such as the default store, open
// returns an empty one.
func (p *plan) open(ctx context.Context) (*vault.Store, error) {
	var credentials *federation.Provider
	if p.identity != nil {
		credentials = p.identity.provider
	}
	store, err := p.Location.Open(ctx, credentials)
	switch {
	case errors.Is(err, vaulturl.ErrNoStore) && (p.set.Store.Text == "" || p.session.mayBeMissing):
		return vaulturl.OpenStore(ctx, "mem://", nil)
	case errors.Is(err, vaulturl.ErrNoStore):
		return nil, hint(err, "check the URL, and check that the disk is mounted; {vault} put creates a new store")
	case errors.Is(err, vault.ErrConfig) && p.Scheme == "file":
		return nil, hint(err, "check the URL: it must be that of a directory")
	case err == nil && p.Scheme == "mem" && !p.session.quiet:
		p.session.note("the contents of mem:// are lost when this command ends")
	}
	if err == nil && p.session.wrapStore != nil {
		store = p.session.wrapStore(store)
	}
	return store, err
}

// storeName returns the name of the store at a URL, as [vault.Store] has it: the URL without parameters.
func storeName(storeURL string) string {
	name, _, _ := strings.Cut(shownURL(storeURL), "?")
	return name
}

// fileURL returns the URL of a directory on this machine.
func fileURL(dir string) string {
	path := filepath.ToSlash(dir)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/dir
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// atURL adds the setting that contains an invalid URL to err, and a hint if the error has one.
func atURL(v config.Value, err error) error {
	var u *vaulturl.URLError
	if !errors.As(err, &u) {
		return from(v, err)
	}
	if u.Advice == "" {
		return from(v, u)
	}
	return hint(from(v, u), "%s", u.Advice)
}

// from adds the setting that caused err.
func from(v config.Value, err error) error {
	return fmt.Errorf("%s: %w", v.From, err)
}

func scope(set config.Settings) (vault.Scope, error) {
	s := vault.Scope{ReadOnly: set.ReadOnly}
	if set.Scope == nil {
		return s, nil
	}
	s.Names = []vault.Name{} // an empty scope allows nothing
	for _, text := range set.Scope {
		name, err := vault.ParseName(text)
		if err != nil {
			return s, fmt.Errorf("%s: scope of profile %s: %w", set.File, set.Profile, err)
		}
		s.Names = append(s.Names, name)
	}
	return s, nil
}

// explainKey adds a hint to the error for an object that no key opens: the settings that were used.
func (o *opened) explainKey(err error) error {
	if !errors.Is(err, envelope.ErrUnknownKey) {
		return err
	}
	id := o.settings.VaultID.Text
	if id != "" {
		id = ", vault id " + id
	}
	if slices.Contains(o.others, "passphrase") {
		return hint(err, "check the passphrase, and use the --keys, --tenant, --collection and --vault-id of the writer (tried: key %s, tenant %s, collection %s%s)",
			strings.Join(slices.Concat(o.prints, o.others), " and "), o.Tenant(), o.Collection(), id)
	}
	return hint(err, "use the --keys, --tenant, --collection and --vault-id of the writer (tried: key %s, tenant %s, collection %s%s); an object that was renamed cannot be opened",
		strings.Join(slices.Concat(o.prints, o.others), " and "), o.Tenant(), o.Collection(), id)
}
