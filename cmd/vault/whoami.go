package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func whoamiCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "whoami",
		Usage:     "show the tenant and the cloud's name for the caller",
		UsageText: s.prog + " whoami",
		Description: "Shows issuer, subject and tags as the token states them, and role and account as the cloud\n" +
			"reports them (STS GetCallerIdentity, which needs no permission). It shows no secret. If the\n" +
			"token is refused, whoami shows its claims and then the error. Claims with tags in a form that\n" +
			"AWS does not document are shown as ignored.\n\n" +
			"If the store URL has no role, whoami uses the same credentials as the cloud's own tools. For\n" +
			"s3:// these are the credentials that the AWS SDK finds. For cos:// they are\n" +
			"TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN (or\n" +
			"TENCENTCLOUD_SECURITY_TOKEN); if both id and key are unset, the role of the pod in Tencent\n" +
			"Kubernetes Engine: TKE_ROLE_ARN, TKE_PROVIDER_ID, TKE_REGION and TKE_WEB_IDENTITY_TOKEN_FILE.\n\n" +
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
	b, err := s.bearer(ctx, p)
	if err != nil && b.Issuer == "" {
		return err
	}
	print := s.printBearer
	if s.json {
		print = func(b bearer) error { return s.print(b) }
	}
	if perr := print(b); perr != nil {
		return perr
	}
	return err
}

// bearer finds out who the store takes us for.
func (s *session) bearer(ctx context.Context, p *plan) (bearer, error) {
	switch {
	case !p.InCloud():
		tenant, err := p.tenant(ctx)
		return bearer{Store: shownURL(p.set.Store.Text), Tenant: string(tenant)}, err
	case p.identity != nil:
		b, err := p.identity.bearer(ctx)
		if err == nil && p.PerRole { // elsewhere the exchange has said it
			s.askCaller(ctx, p, &b)
		}
		return b, err
	}
	tenant, err := p.tenant(ctx)
	if err != nil {
		return bearer{}, err
	}
	who, err := p.caller(ctx)
	return bearer{
		Store: shownURL(p.set.Store.Text), Tenant: string(tenant),
		From: who.From, ARN: who.ARN, Account: who.Account, CredentialsExpire: moment(who.Expires),
	}, err
}

// caller asks the cloud whose credentials the store uses.
func (p *plan) caller(ctx context.Context) (vault.Caller, error) {
	store, err := p.open(ctx)
	if err != nil {
		return vault.Caller{}, err
	}
	defer store.Close()
	return store.Cloud.Caller(ctx)
}

// askCaller adds what the cloud says of the credentials of a role. What it does not say is
// known from the role's own name.
func (s *session) askCaller(ctx context.Context, p *plan, b *bearer) {
	who, err := p.caller(ctx)
	if err != nil {
		s.note("STS does not report the caller; the account is that of the role's ARN: %v", err)
		return
	}
	b.ARN, b.Account = who.ARN, who.Account
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
	switch {
	case b.Tag != "" || b.TokenExpires == nil: // a login does not know them
	case len(b.Tags) == 0:
		line("tags", "none")
	default:
		line("tags", strings.Join(slices.Sorted(maps.Keys(b.Tags)), " "))
	}
	for _, name := range b.Ignored {
		line("ignored claim", name+", a form of session tags that AWS does not document")
	}
	line("token expires", until(b.TokenExpires))
	line("role", b.Role)
	line("session", b.Session)
	line("account", b.Account)
	line("arn", b.ARN)
	line("credentials", b.From)
	line("credentials expire", until(b.CredentialsExpire))
	return t.Flush()
}
