package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// This file opens the two sides of a copy.

// isURL reports whether a side of a copy is the URL of a store, and not a profile.
func isURL(side string) bool { return strings.Contains(side, "://") }

// open opens the two sides. The function that it returns closes them.
func (c *copying) open(ctx context.Context, src, dst string, o *vault.CopyOptions) (closeAll func(), err error) {
	if err := c.checkFlags(src, dst); err != nil {
		return nil, err
	}
	from, to, err := c.sides(src, dst)
	if err != nil {
		return nil, err
	}
	to.createsStore, to.mayBeMissing = !o.DryRun, o.DryRun
	closeAll = func() {
		for _, v := range []*opened{c.from, c.to} {
			if v != nil {
				v.close()
			}
		}
		from.closeKeys()
		to.closeKeys()
	}
	needSource, needDest := c.needKeys(o)
	if c.from, err = from.open(ctx, needSource); err == nil {
		c.to, err = to.open(ctx, needDest)
	}
	if err == nil {
		err = c.sameVault()
	}
	if err != nil {
		closeAll()
		return nil, err
	}
	return closeAll, nil
}

// sides returns the sessions of the two sides. A URL has the other settings of the profile of the other
// side, or else those of the flags.
func (c *copying) sides(src, dst string) (from, to *session, err error) {
	base := c.session
	for _, side := range []string{dst, src} {
		if isURL(side) {
			continue
		}
		if base, err = c.ofProfile(side); err != nil {
			return nil, nil, hint(err, "SRC and DST are profiles, or URLs of stores such as file:///DIR")
		}
	}
	open := func(side string) (s *session, err error) {
		if isURL(side) {
			s = base.ofStore(side)
		} else if s, err = c.ofProfile(side); err != nil {
			return nil, err
		}
		s.keepKeys, s.flushesLater = c.keepKeys, true
		return s, nil
	}
	if from, err = open(src); err != nil {
		return nil, nil, err
	}
	to, err = open(dst)
	return from, to, err
}

// checkFlags returns an error if a flag would have no effect.
func (c *copying) checkFlags(src, dst string) error {
	if c.c.IsSet("store") {
		return hint(usagef("copy does not use --store"), "write the URL of the store as SRC or DST")
	}
	if isURL(src) && isURL(dst) {
		return nil
	}
	for _, name := range []string{"tenant", "collection", "keys", "identity", "vault-id", "profile"} {
		if c.c.IsSet(name) {
			return hint(usagef("--%s cannot be combined with a profile as SRC or DST", name), "set %s in the profile, or write two URLs", strings.ReplaceAll(name, "-", "_"))
		}
	}
	return nil
}

// ofStore returns a session with the settings of s and another store.
func (s *session) ofStore(storeURL string) *session {
	if s.sources == nil {
		s.sources = map[string]envelope.KeySource{} // both sessions use it, so that a passphrase is typed once
	}
	return &session{ui: s.ui, c: s.c, line: s.line, profile: s.profile, storeURL: storeURL, sources: s.sources}
}

// withStore replaces the store of settings, and what belongs to that store.
func withStore(set config.Settings, storeURL string) config.Settings {
	set.Store = config.Value{Text: storeURL, From: "the argument " + shownURL(storeURL)}
	set.ReadOnly, set.Write, set.Mirrors, set.Quorum = false, config.Value{}, nil, 0
	if !usesIdentity(storeURL) {
		set.Identity = config.Value{} // the other side has a role
	}
	return set
}

// inCloud reports whether a store is in a cloud.
func inCloud(storeURL string) bool {
	u, err := url.Parse(storeURL)
	return err == nil && (u.Scheme == "s3" || u.Scheme == "cos")
}

// usesIdentity reports whether the URL of a store has a role, which an identity assumes.
func usesIdentity(storeURL string) bool {
	u, err := url.Parse(storeURL)
	return err == nil && u.Query().Has("role")
}
