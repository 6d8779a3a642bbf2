package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func serveCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "serve this vault to the clients of agentKeys' plaintext credential server",
		UsageText: s.prog + " serve --legacy [--listen ADDRESS] [--tokens FILE | --verify-upstream] [--upstream URL]",
		Description: "Speaks the HTTP API of the plaintext credential server of agentKeys on this machine. A client that\n" +
			"is pointed at http://localhost:8090 then stores its credentials in this vault: sealed, and through\n" +
			"the spool even if the store is away. The API has no other purpose, so --legacy is required.\n\n" +
			"A client shows that it may use the credentials in one of three ways:\n\n" +
			"   --tokens FILE       bearer tokens of this file; --new-token adds one and prints it\n" +
			"   --verify-upstream   bearer tokens that the old server accepts; asked once a minute\n" +
			"   --listen unix:PATH  a Unix socket, for the processes of the same user\n\n" +
			"--upstream URL passes all other paths, such as /session/*, to the old server. serve listens only on\n" +
			"loopback addresses and on Unix sockets. It prints one line for each request, without values and\n" +
			"tokens. On SIGTERM it completes the requests in progress. It supports systemd: readiness\n" +
			"(Type=notify) and socket activation.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " serve --legacy --tokens ~/.config/objectvault/tokens --new-token --expires 90d\n" +
			"   " + s.prog + " serve --legacy --tokens ~/.config/objectvault/tokens\n" +
			"   " + s.prog + " serve --legacy --upstream http://localhost:8091 --verify-upstream",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "legacy", Usage: "serve the API of agentKeys", DisableDefaultText: true},
			&cli.StringFlag{Name: "listen", Usage: "`ADDRESS` on this machine: localhost:8090, another loopback address and port, or unix:PATH"},
			&cli.StringFlag{Name: "tokens", Usage: "`FILE` with the hashes of the bearer tokens"},
			&cli.BoolFlag{Name: "verify-upstream", Usage: "accept the bearer tokens that the old server accepts", DisableDefaultText: true},
			&cli.StringFlag{Name: "upstream", Usage: "`URL` of the old server, on this machine"},
			&cli.StringSliceFlag{Name: "agent", Usage: "another `ID` that clients use for the tenant; may be repeated"},
			&cli.IntFlag{Name: "reads-per-minute", Usage: "`N` reads are allowed for each token in a minute; 0 means no limit", Value: 100},
			&cli.BoolFlag{Name: "new-token", Usage: "add a token to the file of --tokens, print it, and exit", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "service", Usage: "with --new-token: only this `SERVICE` may be used; may be repeated"},
			&cli.BoolFlag{Name: "read-only", Usage: "with --new-token: the token cannot store or remove credentials", DisableDefaultText: true},
			&cli.StringFlag{Name: "expires", Usage: "with --new-token: time `WHEN` the token expires, such as 2027-01-31T12:00:00Z, or 30d or 12h from now"},
		},
		Action: s.action(s.serve),
	}
}

func (s *session) serve(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	if !s.c.Bool("legacy") {
		return hint(usagef("--legacy is missing"), "{prog} serve --legacy is for the clients of agentKeys; all other programs need no server")
	}
	for _, name := range []string{"listen", "tokens", "upstream"} {
		if s.c.IsSet(name) && s.c.String(name) == "" {
			return usagef("--%s is empty", name)
		}
	}
	if s.c.Bool("new-token") {
		return s.newToken(ctx)
	}
	for _, name := range []string{"service", "read-only", "expires"} {
		if s.c.IsSet(name) {
			return usagef("--%s requires --new-token", name)
		}
	}
	c := credserver.Config{ReadsPerMinute: s.c.Int("reads-per-minute"), Log: slog.New(requestLog(s.err)), Now: s.now}
	if c.ReadsPerMinute <= 0 {
		c.ReadsPerMinute = -1
	}
	if text := s.c.String("upstream"); text != "" {
		var err error
		if c.Upstream, err = url.Parse(text); err != nil {
			return usagef("--upstream is not a URL")
		}
	}
	s.createsStore, s.flushesLater = true, true
	s.keepKeys = time.Minute
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	if v.Collection() != vault.DefaultCollection {
		return usagef("agentKeys has only the collection %s", vault.DefaultCollection)
	}
	if c.Agents, err = s.agents(ctx, v); err != nil {
		return err
	}
	if c.Verifier, err = s.verifier(&c); err != nil {
		return err
	}
	o := &credserver.VaultOptions{Stored: func(info vault.Info) { s.owe(v, info) }}
	if v.spool != nil {
		if o.Spool = v.spool; v.settings.SpoolRequired {
			o.Mode = vault.SpoolRequire
		}
	}
	c.Backend = credserver.Vault(v.Vault, o)
	store, err := s.shownStore(v.settings)
	if err != nil {
		return err
	}
	var listeners []net.Listener
	c.Ready = func() {
		for _, l := range listeners {
			s.note("listening on %s for tenant %s in %s", l.Addr(), v.Tenant(), store)
		}
	}
	server, err := credserver.New(c)
	if err != nil {
		return err
	}
	if listeners, err = s.listeners(ctx, c.Verifier == nil); err != nil {
		return err
	}
	if strings.HasPrefix(v.settings.Deadline.From, "profile") {
		ctx = s.c.Context // the deadline of a profile is for commands that end
	}
	stop := s.syncInBackground(ctx, v)
	defer stop()
	err = server.Serve(ctx, listeners...)
	if err == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = ctx.Err() // an end by a signal is a success
	}
	return err
}

// newToken adds a token to the file of --tokens and prints it.
func (s *session) newToken(ctx context.Context) error {
	set, err := s.settings()
	if err != nil {
		return err
	}
	file := s.c.String("tokens")
	if file == "" {
		return usagef("--new-token requires --tokens FILE")
	}
	tenant, err := vault.ParseTenant(set.Tenant.Text)
	if err != nil || set.Tenant.Text == "" {
		return hint(usagef("--new-token requires the tenant that the token is for"), "set --tenant, or tenant in the profile")
	}
	g := credserver.Grant{Wallet: string(tenant), Services: s.c.StringSlice("service"), ReadOnly: s.c.Bool("read-only")}
	if text := s.c.String("expires"); s.c.IsSet("expires") {
		if g.Expires, err = argv.ParseExpiry(text, s.now()); err != nil {
			return err
		}
	}
	token, err := credserver.NewToken(ctx, file, g)
	if err != nil && noDir(filepath.Dir(file)) {
		return hint(usagef("--tokens: there is no directory %s", filepath.Dir(file)), "create the directory first")
	}
	if err != nil {
		return err
	}
	if s.json {
		return s.print(map[string]string{"token": token})
	}
	s.note("the token is shown only once")
	_, err = fmt.Fprintln(s.out, token)
	return err
}

// agents returns the ids that clients use for the tenant: the wallet and the omni account.
func (s *session) agents(ctx context.Context, v *opened) ([]string, error) {
	ids := append([]string{string(v.Tenant())}, s.c.StringSlice("agent")...)
	if slices.Contains(ids, "") {
		return nil, usagef("--agent is empty")
	}
	if agentkeys.IsWallet(ids[0]) {
		ids = append(ids, agentkeys.OmniOf(ids[0]))
	}
	reader, ok := v.options.Legacy.(*agentkeys.Reader)
	if !ok {
		return ids, nil
	}
	switch account, known, err := reader.Account(ctx); {
	case err != nil:
		s.note("the other id of the tenant is not known, because the signer cannot be used: %v", err)
	case known:
		ids = append(ids, account.Wallet, account.Omni)
	}
	return ids, nil
}

// verifier returns the Verifier that the flags select, or nil.
func (s *session) verifier(c *credserver.Config) (credserver.Verifier, error) {
	file := s.c.String("tokens")
	switch {
	case file != "" && s.c.Bool("verify-upstream"):
		return nil, usagef("--tokens and --verify-upstream exclude each other")
	case file != "":
		v, err := credserver.OpenTokenFile(file, c.Log)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, hint(usagef("--tokens: the file does not exist"), "{prog} serve --legacy --tokens FILE --new-token creates it")
		}
		if err != nil {
			return nil, err
		}
		return v, nil
	case !s.c.Bool("verify-upstream"):
		return nil, nil
	case c.Upstream == nil:
		return nil, usagef("--verify-upstream requires --upstream URL")
	}
	wallet := c.Agents[0]
	if i := slices.IndexFunc(c.Agents, func(id string) bool { return agentkeys.IsWallet(strings.ToLower(id)) }); i >= 0 {
		wallet = c.Agents[i]
	}
	v, err := credserver.NewUpstreamVerifier(c.Upstream, wallet, s.now)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// listeners returns the listeners that systemd has opened, or else those of --listen. withoutTokens means
// that only a Unix socket is useful.
func (s *session) listeners(ctx context.Context, withoutTokens bool) ([]net.Listener, error) {
	listeners, err := credserver.Activated()
	if err != nil {
		return nil, err
	}
	address := s.c.String("listen")
	switch {
	case len(listeners) > 0 && address != "":
		err = usagef("--listen and the sockets of systemd exclude each other")
	case len(listeners) == 0 && address == "":
		address = "localhost:8090"
	}
	onlyTCP := len(listeners) == 0 && !strings.HasPrefix(address, "unix:")
	for _, l := range listeners {
		onlyTCP = onlyTCP || l.Addr().Network() != "unix"
	}
	if err == nil && withoutTokens && onlyTCP {
		err = hint(usagef("no client could use this server, because nothing checks its token"), "add --tokens FILE or --verify-upstream, or listen on a Unix socket: --listen unix:PATH")
	}
	if err != nil || len(listeners) > 0 {
		for _, l := range listeners {
			if err != nil {
				l.Close()
			}
		}
		return listeners, err
	}
	listeners, err = credserver.Listen(ctx, address)
	switch {
	case isAddressInUse(err):
		return nil, hint(err, "choose another address with --listen, or stop the process that uses this one")
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint(tagged{err, usage.ErrUsage}, "create the directory of the socket first")
	}
	return listeners, err
}

// syncInBackground sends what waits in the spool and for the mirrors, until stop is called.
func (s *session) syncInBackground(ctx context.Context, v *opened) (stop func()) {
	if v.spool == nil && len(v.mirrors) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	reported := make(map[string]bool) // entries that wait for another reason than an unavailable store
	go func() {
		defer close(done)
		for tick := time.NewTicker(firstWatch); ; {
			select {
			case <-tick.C:
				for _, m := range v.mirrors {
					if m.spool != nil {
						s.send(ctx, m, m.spool, m.Vault, spool.SyncOptions{OnlyDue: true}, nil)
					}
				}
				if v.spool == nil {
					continue
				}
				s.send(ctx, v, v.spool, v.Vault, spool.SyncOptions{OnlyDue: true}, func(r spool.Result) (printed bool) {
					var spooled *vault.SpooledError
					switch {
					case r.Err == nil:
						s.note("sent %s, put at %s", r.Entry.Ref.Name, timestamp(r.Entry.Created))
					case errors.As(r.Err, &spooled) && spooled.Refused:
						s.note("the store refused %s, put at %s, and this machine keeps it: %s; see %s",
							r.Entry.Ref.Name, timestamp(r.Entry.Created), explain("sync", causeOf(r.Err)).Message, s.command("spool ls"))
						return true
					case r.Err != nil && !errors.Is(r.Err, vault.ErrUnavailable) && !reported[r.Entry.ID]:
						reported[r.Entry.ID] = true
						s.note("%s, put at %s, waits on this machine: %s", r.Entry.Ref.Name, timestamp(r.Entry.Created), explain("sync", causeOf(r.Err)).Message)
						return true
					}
					return false
				})
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// requestLog returns a handler that writes one line for each record.
func requestLog(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
}
