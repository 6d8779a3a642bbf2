package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/plainserver"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/sqlite"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// A migrationSource is a parsed --from.
type migrationSource struct {
	text string
	open func(ctx context.Context, v *opened) (migrate.Source, error)
}

// migrationSource parses --from and the flags that belong to it.
func (s *session) migrationSource() (migrationSource, error) {
	text := s.c.String("from")
	kind, rest, _ := strings.Cut(text, ":")
	from := migrationSource{text: text}
	switch {
	case text == "":
		return from, hint(usagef("--from is missing"), "use --from agentkeys, agentkeys:PROFILE, http://localhost:8090 or sqlite:FILE")
	case text == "agentkeys:":
		return from, usagef("--from agentkeys: has no profile after the colon")
	case kind == "agentkeys":
		from.open = func(ctx context.Context, v *opened) (migrate.Source, error) { return s.agentKeysSource(ctx, v, rest) }
	case kind == "http", kind == "https":
		from.open = func(ctx context.Context, v *opened) (migrate.Source, error) { return s.plainServer(ctx, v, text) }
	case kind == "sqlite" && rest != "":
		from.open = func(ctx context.Context, v *opened) (migrate.Source, error) {
			agent, err := s.sourceAgent(v)
			if err != nil {
				return nil, err
			}
			return sqlite.Open(ctx, sqlite.Config{File: filepath.Clean(rest), Agent: agent, ReadOnly: !s.c.Bool("shred-source")})
		}
	default:
		return from, usagef("--from must be agentkeys, agentkeys:PROFILE, http://HOST:PORT or sqlite:FILE")
	}
	if kind != "http" && kind != "https" && s.c.IsSet("source-token") {
		return from, usagef("--source-token is for --from http://HOST:PORT only")
	}
	if kind == "agentkeys" && s.c.IsSet("agent") {
		return from, usagef("--agent is for the plaintext server and its file; for the objects of agentKeys, set --tenant")
	}
	return from, nil
}

// sourceAgent returns the id of the agent in a plaintext server, which is a wallet.
func (s *session) sourceAgent(v *opened) (string, error) {
	if s.c.IsSet("agent") {
		if s.c.String("agent") == "" {
			return "", usagef("--agent is empty")
		}
		return s.c.String("agent"), nil
	}
	if !agentkeys.IsWallet(string(v.Tenant())) {
		return "", hint(usagef("the tenant %s is not a wallet, so the agent in the source is not known", v.Tenant()), "add --agent WALLET")
	}
	return string(v.Tenant()), nil
}

// plainServer opens the credential server at a URL.
func (s *session) plainServer(ctx context.Context, v *opened, url string) (migrate.Source, error) {
	agent, err := s.sourceAgent(v)
	if err != nil {
		return nil, err
	}
	if !s.c.IsSet("source-token") {
		return nil, hint(usagef("the credential server requires a session token"), "add --source-token env:VAR or file:PATH")
	}
	read, err := vaulturl.OpenBearer(s.c.String("source-token"), &vaulturl.Options{Getenv: s.getenv})
	if err != nil {
		return nil, usagef("--source-token: %v", err)
	}
	token, err := read(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: the token of --source-token %s is empty, or cannot be read", migrate.ErrUnauthorized, s.c.String("source-token"))
	}
	source, err := plainserver.New(plainserver.Config{
		URL: url, Agent: agent, Token: token, Now: s.now,
		Waiting: func(d time.Duration) { s.note("waiting %s for the read limit of the credential server", d) },
	})
	if err != nil && !errors.Is(err, migrate.ErrUnauthorized) {
		return nil, usagef("--from: %v", err)
	}
	return source, err
}

// agentKeysSource opens the objects that agentKeys stored in the bucket of a profile, or, without one, in
// the bucket of v.
func (s *session) agentKeysSource(ctx context.Context, v *opened, profile string) (migrate.Source, error) {
	source := &agentKeysSource{vault: v, noOtherWriters: s.c.Bool("no-other-writers")}
	if profile != "" {
		other, err := s.ofProfile(profile)
		if err != nil {
			return nil, err
		}
		if source.vault, err = other.open(ctx, mustKeys); err != nil {
			other.closeKeys()
			return nil, err
		}
		source.session = other
		if source.vault.storeID == v.storeID {
			source.Close()
			return nil, hint(usagef("--from agentkeys:%s: this profile has the store of the vault", profile), "use --from agentkeys to convert the objects in place")
		}
	}
	if source.vault.options.Legacy == nil {
		source.Close()
		return nil, hint(usagef("--from %s requires a signer as key source, and its wallet or omni account as the tenant", s.c.String("from")),
			"set --keys signer+https://HOST?omni=HEX and --tenant WALLET")
	}
	prefixes, err := source.vault.options.Legacy.Prefixes(ctx)
	if err == nil && len(prefixes) == 0 {
		err = hint(usagef("the signer has another wallet than the tenant %s", source.vault.Tenant()), "set --tenant to the wallet or the omni account of the signer")
	}
	if err == nil && !s.c.Bool("ignore-denied") {
		// Objects below a denied prefix would be missed, and an older object at the other prefix would be
		// migrated in their place.
		var denied []string
		if denied, err = source.vault.DeniedLegacy(ctx); len(denied) > 0 {
			err = hint(fmt.Errorf("%w: objects of agentKeys below %s cannot be listed, and agentKeys may read them first", vault.ErrPermission, strings.Join(denied, " and ")),
				"use credentials that may read both prefixes of the tenant; --ignore-denied migrates the other prefix alone")
		}
	}
	if err != nil {
		source.Close()
		return nil, err
	}
	return source, nil
}

// ofProfile returns a session with the settings of a profile, and not with those of flags and variables.
func (s *session) ofProfile(name string) (*session, error) {
	w := *s.world
	w.getenv = func(name string) string {
		if strings.HasPrefix(name, "OBJECTVAULT_") && name != "OBJECTVAULT_CONFIG" && name != "OBJECTVAULT_TIMEOUT" && !strings.HasPrefix(name, "OBJECTVAULT_PASSPHRASE") {
			return ""
		}
		return s.getenv(name)
	}
	u := *s.ui
	u.world = &w
	other := &session{ui: &u, c: s.c, line: s.line, profile: name}
	_, err := other.settings()
	return other, err
}

// An agentKeysSource is the objects that agentKeys stored in a bucket. It implements [migrate.Source].
type agentKeysSource struct {
	vault          *opened
	session        *session // of another profile; nil: the objects are converted in place
	noOtherWriters bool
	unreadable     map[string]error // of List, by service
}

// A foundItem is an object in the list of a bucket.
type foundItem struct {
	migrate.Item
	err  error // why the object cannot be migrated
	none bool  // agentKeys did not store it
}

// List implements [migrate.Source].
func (a *agentKeysSource) List(ctx context.Context) (items []migrate.Item, others int, err error) {
	a.unreadable = make(map[string]error)
	err = eachEntry(ctx, a.vault.Vault, "", a.find, func(f foundItem) error {
		if f.none {
			return nil
		}
		if f.err != nil {
			a.unreadable[f.Service] = f.err
		}
		items = append(items, f.Item)
		return nil
	})
	slices.SortFunc(items, func(a, b migrate.Item) int { return strings.Compare(a.Service, b.Service) })
	return items, -1, err
}

// find returns the object of agentKeys at the key of an entry, or under its name.
func (a *agentKeysSource) find(ctx context.Context, e vault.Entry) foundItem {
	f := foundItem{Item: migrate.Item{Agent: string(a.vault.Tenant()), Service: string(e.Name), Updated: e.Modified}}
	if e.Foreign {
		service, ok := a.vault.options.Legacy.NameOf(ctx, e.Key)
		f.Service, f.none = service, !ok
		return f // Run reports that a vault has no such name
	}
	legacy, err := a.vault.LegacyEntry(ctx, e.Name)
	if err == nil {
		f.Updated = legacy.Modified
		return f
	}
	if e.Legacy && errors.Is(err, vault.ErrNotFound) {
		err = fmt.Errorf("%w: %s is in the list, and cannot be read", vault.ErrPermission, e.Key)
	}
	if !errors.Is(err, vault.ErrNotFound) {
		f.err = err
		return f
	}
	// An object of agentKeys may have the key of another name in the vault.
	if _, err := a.vault.Stat(ctx, e.Name); errors.Is(err, vault.ErrLegacy) || errors.Is(err, envelope.ErrFormat) {
		f.Service, _ = a.vault.options.Legacy.NameOf(ctx, e.Key)
		f.err = fmt.Errorf("%w: %s has the key of the name %q of a vault: use the other id as the tenant", vault.ErrInvalidName, e.Key, string(e.Name))
		return f
	}
	f.none = true
	return f
}

// Read implements [migrate.Source].
func (a *agentKeysSource) Read(ctx context.Context, item migrate.Item) ([]byte, error) {
	if err := a.unreadable[item.Service]; err != nil {
		return nil, err
	}
	value, _, err := a.vault.ReadLegacy(ctx, vault.Name(item.Service))
	if errors.Is(err, vault.ErrNotFound) {
		err = fmt.Errorf("%w: %w", migrate.ErrGone, err)
	}
	return value, err
}

// Shred implements [migrate.Source]. An object that became an envelope in place is removed already.
func (a *agentKeysSource) Shred(ctx context.Context, verified []migrate.Verified) (report migrate.ShredReport, err error) {
	for _, item := range verified {
		o := &vault.ShredOptions{Same: item.Same, OtherKeys: a.session == nil, NoOtherWriters: a.noOtherWriters}
		_, err := a.vault.ShredLegacy(ctx, vault.Name(item.Service), o)
		if err == nil {
			report.Removed = append(report.Removed, item.Item)
			continue
		}
		report.Kept = append(report.Kept, migrate.Kept{Item: item.Item, Reason: explain("", err).Message})
	}
	if a.vault.store.History != nil {
		report.Remarks = append(report.Remarks, "old versions of these objects stay in the history of the bucket until a lifecycle rule or teardown --purge removes them; they are encrypted")
	}
	return report, ctx.Err()
}

// Close implements [migrate.Source].
func (a *agentKeysSource) Close() error {
	if a.session == nil {
		return nil // the command closes the vault
	}
	a.session.closeKeys()
	return a.vault.close()
}
