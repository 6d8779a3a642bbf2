package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func whoamiCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "whoami",
		Usage:     "tell who the store takes you for",
		UsageText: s.prog + " whoami",
		Description: "Issuer, subject and tags are what the token says; role and account are what the cloud answered when\n" +
			"it was exchanged. No secret is shown.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " whoami\n" +
			"   " + s.prog + " whoami --json | jq -r .tenant",
		Action: s.action(s.whoami),
	}
}

func (s *session) whoami(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	p, err := s.plan(ctx, set)
	if err != nil {
		return err
	}
	var b bearer
	switch {
	case p.cloud == nil:
		var tenant vault.Tenant
		if tenant, err = p.tenant(ctx); err != nil {
			return err
		}
		b = bearer{Store: shownURL(set.Store.Text), Tenant: string(tenant)}
	case p.cloud.identity != nil:
		b, err = p.cloud.identity.bearer(ctx)
	default:
		b, err = s.caller(ctx, p)
		b.Store = shownURL(set.Store.Text)
	}
	if err != nil {
		return err
	}
	if s.json {
		return s.print(b)
	}
	return s.printBearer(b)
}

// caller is who we are with credentials that the cloud's SDK found.
func (s *session) caller(ctx context.Context, p *plan) (bearer, error) {
	tenant, err := p.tenant(ctx)
	if err != nil {
		return bearer{}, err
	}
	c, err := p.cloud.caller(ctx)
	return bearer{Tenant: string(tenant), From: c.From, ARN: c.ARN, Account: c.Account, CredentialsExpire: moment(c.Expires)}, err
}

func (s *session) printBearer(b bearer) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", key, visible(value))
		}
	}
	until := func(at *time.Time) string {
		if at == nil {
			return ""
		}
		return timestamp(*at)
	}
	line("store", b.Store)
	line("tenant", b.Tenant)
	line("identity", b.Identity)
	line("issuer", b.Issuer)
	line("subject", b.Subject)
	if b.Audience != nil {
		line("audience", fmt.Sprint(b.Audience))
	}
	line("tag", b.Tag)
	line("token expires", until(b.TokenExpires))
	line("role", b.Role)
	line("session", b.Session)
	line("account", b.Account)
	line("arn", b.ARN)
	line("credentials", b.From)
	line("credentials expire", until(b.CredentialsExpire))
	return t.Flush()
}
