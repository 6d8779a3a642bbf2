package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/plainserver"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/sqlite"
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
		return nil, err
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
	source := &agentKeysSource{vault: v}
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
	}
	if source.vault.options.Legacy == nil {
		source.Close()
		return nil, hint(usagef("--from %s requires a signer as key source, and its wallet or omni account as the tenant", s.c.String("from")),
			"set --keys signer+https://HOST?omni=HEX and --tenant WALLET")
	}
	return source, nil
}

// ofProfile returns a session with the settings of a profile, and not with those of flags and variables.
func (s *session) ofProfile(name string) (*session, error) {
	w := *s.world
	w.getenv = func(name string) string {
		if strings.HasPrefix(name, "OBJECTVAULT_") && name != "OBJECTVAULT_CONFIG" && !strings.HasPrefix(name, "OBJECTVAULT_PASSPHRASE") {
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
	vault   *opened
	session *session // of another profile; nil: the vault is that of the command
}

// List implements [migrate.Source].
func (a *agentKeysSource) List(ctx context.Context) (items []migrate.Item, others int, err error) {
	type found struct {
		vault.Entry
		err error
	}
	err = eachEntry(ctx, a.vault.Vault, "", func(ctx context.Context, e vault.Entry) found {
		if e.Foreign {
			return found{err: vault.ErrNotFound}
		}
		legacy, err := a.vault.LegacyEntry(ctx, e.Name)
		legacy.Name = e.Name
		return found{legacy, err}
	}, func(f found) error {
		if !errors.Is(f.err, vault.ErrNotFound) { // Read reports the other errors
			items = append(items, migrate.Item{Agent: string(a.vault.Tenant()), Service: string(f.Name), Updated: f.Modified})
		}
		return nil
	})
	slices.SortFunc(items, func(a, b migrate.Item) int { return strings.Compare(a.Service, b.Service) })
	return items, -1, err
}

// Read implements [migrate.Source].
func (a *agentKeysSource) Read(ctx context.Context, item migrate.Item) ([]byte, error) {
	value, _, err := a.vault.ReadLegacy(ctx, vault.Name(item.Service))
	return value, err
}

// Shred implements [migrate.Source]. An object that became an envelope in place is removed already.
func (a *agentKeysSource) Shred(ctx context.Context, verified []migrate.Verified) (report migrate.ShredReport, err error) {
	for _, item := range verified {
		_, err := a.vault.ShredLegacy(ctx, vault.Name(item.Service), item.Same)
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
