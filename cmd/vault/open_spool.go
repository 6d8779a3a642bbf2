package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
	"github.com/objectvault/objectvault/vaulturl"
)

// This file opens the spool, and a vault that saves a value before it needs a token or a connection.

// spooling reports whether put saves values for this store on this machine: for stores in a cloud, and
// where a directory was named.
func spooling(set config.Settings, l *vaulturl.Location) bool {
	switch {
	case set.Spool.Text == config.SpoolOff:
		return false
	case set.Spool.Text != "":
		return true
	}
	return l.InCloud()
}

// openSpool returns the spool of the store, or nil if there is none. limit is the maximum length of a
// value; 0 means the default.
func (s *session) openSpool(set config.Settings, l *vaulturl.Location, limit int64) (*spool.Spool, error) {
	if !s.spoolAlways && !spooling(set, l) {
		return nil, nil
	}
	return s.openSpoolOf(set, l.SpoolID(), identityID(set, l), limit)
}

// openSpoolOf returns the spool with an id, in the directory of the settings. identity identifies the caller.
func (s *session) openSpoolOf(set config.Settings, id, identity string, limit int64) (*spool.Spool, error) {
	dir := set.Spool.Text
	if dir == "" || dir == config.SpoolOff {
		var err error
		if dir, err = s.places().Spool(); err != nil {
			err = hint(fmt.Errorf("there is no directory for the spool: %w", err), "set HOME, or --spool DIR")
			if set.SpoolRequired {
				return nil, err
			}
			s.note("put cannot save values on this machine: %v", err)
			return nil, nil
		}
	}
	return spool.Open(spool.Config{
		Dir: dir, Store: id, Identity: identity, Limit: limit, Now: s.now,
		Warn: func(err error) { s.note("%v", err) },
	})
}

// tenantOffline returns the tenant, if it is known without a request: from the settings, from a token
// in a file or a variable, or from the last login, even if it has expired.
func (s *session) tenantOffline(ctx context.Context, set config.Settings, l *vaulturl.Location) (vault.Tenant, bool) {
	known := func(text string) (vault.Tenant, bool) {
		t, err := vault.ParseTenant(text)
		return t, err == nil
	}
	if set.Tenant.Text != "" || l.Role == "" {
		return known(set.Tenant.Text)
	}
	spec := identitySpec(set, l)
	if scheme, _, _ := strings.Cut(spec, ":"); scheme == "file" || scheme == "env" {
		if source, err := l.Source(spec); err == nil {
			if token, err := source.Token(ctx); err == nil {
				i := &identity{session: s, Location: l, set: set}
				if tenant, err := i.tenantOf(token.Claims); err == nil {
					return tenant, true
				}
			}
		}
	}
	dir, err := s.places().Logins()
	if err != nil {
		return "", false
	}
	login, err := federation.Cache{Dir: dir, Now: s.now}.Load(federation.CacheKey(set.Store.Text, ""))
	var ended *federation.LoginExpiredError
	switch {
	case errors.As(err, &ended) && ended.Tenant != "" && (spec == "" || federation.CacheKey(spec) == ended.Source):
		return known(ended.Tenant)
	case err != nil || spec != "" && federation.CacheKey(spec) != login.Source:
		return "", false
	}
	return known(login.Tenant)
}

// identityID identifies the caller that saves a value without a tenant.
func identityID(set config.Settings, l *vaulturl.Location) string {
	return federation.CacheKey("spool", identitySpec(set, l))
}

// identitySpec returns the source of tokens: that of the machine, or that of the settings.
func identitySpec(set config.Settings, l *vaulturl.Location) string {
	return cmp.Or(l.Identity, set.Identity.Text)
}

// errOtherTenant means that the token belongs to another tenant than the one that was known before.
func errOtherTenant(got, want vault.Tenant) error {
	return &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.TenantMismatch,
		Message: fmt.Sprintf("the token belongs to tenant %s, but this command runs for tenant %s", got, want), Effect: vault.Refused}
}

// deferredStore returns a store that is opened at the first request, with a new token if one is needed.
func (s *session) deferredStore(set config.Settings, l *vaulturl.Location, want vault.Tenant) *vault.Store {
	return vault.Deferred(storeName(set.Store.Text), func(ctx context.Context) (*vault.Store, error) {
		p, err := s.plan(ctx, set)
		if err != nil {
			return nil, err
		}
		tenant, err := p.tenant(ctx)
		if err != nil {
			return nil, err
		}
		if tenant != want {
			return nil, errOtherTenant(tenant, want)
		}
		return p.open(ctx)
	})
}

// flushTime is the time that a command spends on the entries of the spool before its own work.
const flushTime = 2 * time.Second

// briefly returns a context for a flush.
func briefly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(linger.WithEnd(ctx, time.Now().Add(flushTime)), flushTime/2)
}

// flush sends the due entries of the spool, for a short time. It never fails the command.
func (s *session) flush(ctx context.Context, o *opened) {
	if o.spool == nil || o.sealing == nil {
		return
	}
	all, err := o.spool.All(ctx)
	if err != nil || len(all) == 0 {
		return
	}
	ctx, cancel := briefly(ctx)
	defer cancel()
	sum, err := s.send(ctx, o, o.spool, o.sealing, spool.SyncOptions{OnlyDue: true}, nil)
	if err == nil && sum.Sent > 0 {
		s.note("sent %s from the spool", plural(sum.Sent, "value", "values"))
	}
	s.noteOld(ctx, o.spool)
}

// send calls Sync. It remembers the missing keys of each value that was sent, and reports the uploads that
// may remain, also those of an entry that stays pending. each may be nil. It reports whether it has printed
// the error of its entry, which contains the size of such an upload.
func (s *session) send(ctx context.Context, o *opened, sp *spool.Spool, v *vault.Vault, options spool.SyncOptions, each func(spool.Result) (printed bool)) (spool.Summary, error) {
	options.Each = func(r spool.Result) {
		if r.Err == nil {
			s.oweFor(o, r.Entry.Ref.Vault, r.Info)
		}
		left := r.Info.Unfinished
		var cause *vault.Cause
		if printed := each != nil && each(r); !printed && errors.As(r.Err, &cause) {
			left += cause.Unfinished
		}
		s.noteUnfinished(vault.Name(r.Entry.Ref.Name), left)
		s.unfinished += left
	}
	return sp.Sync(ctx, v, &options)
}

// oldEntry is the age at which every command mentions an entry.
const oldEntry = time.Hour

// noteOld mentions entries that have been waiting for long.
func (s *session) noteOld(ctx context.Context, sp *spool.Spool) {
	all, err := sp.All(context.WithoutCancel(ctx))
	if err != nil {
		return
	}
	n, first := 0, vault.SpoolEntry{}
	for _, e := range all {
		if e := e.Entry(); s.now().Sub(e.Created) >= oldEntry {
			if n++; n == 1 {
				first = e
			}
		}
	}
	if n > 0 {
		s.note("%s on this machine only; the oldest is %s, put %s ago: run %s, or %s",
			plural(n, "value is", "values are"), first.Ref.Name, age(s.now(), first.Created), s.command("sync"), s.command("spool ls"))
	}
}

func plural(n int, one, many string) string { return text.Count(n, one, many) }

// notePending mentions a value that is read from the spool.
func (u *ui) notePending(info vault.Info) {
	if info.Pending {
		u.note("%s is on this machine only, and not yet in the store", info.Name)
	}
}

// waiting returns the entries of the spool for the vault whose names start with prefix, by name: the
// newest pending one, or else the newest refused one.
func (o *opened) waiting(ctx context.Context, prefix string) map[vault.Name]vault.SpoolEntry {
	if o.spool == nil {
		return nil
	}
	all, err := o.spool.Entries(ctx, envelope.Ref{Vault: o.VaultID(), Tenant: string(o.Tenant()), Collection: string(o.Collection())})
	if err != nil {
		return nil
	}
	newest := make(map[vault.Name]vault.SpoolEntry)
	for _, entry := range all {
		e := entry.Entry()
		name := vault.Name(e.Ref.Name)
		if old, ok := newest[name]; strings.HasPrefix(e.Ref.Name, prefix) && (!ok || old.Refused || !e.Refused) {
			newest[name] = e
		}
	}
	return newest
}
