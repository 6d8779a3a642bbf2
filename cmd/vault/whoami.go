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
		Usage:     "show the tenant and the caller's identity in the cloud",
		UsageText: s.prog + " whoami",
		Description: "Shows the issuer, subject and tags from the token, and the role and account that the cloud\n" +
			"reports (STS GetCallerIdentity, which needs no permission). It shows no secret. If the cloud\n" +
			"refuses the token, whoami shows the token's claims and then the error. If a claim contains\n" +
			"session tags in a form that AWS does not document, whoami lists the claim as ignored.\n\n" +
			"If the store URL has no role, whoami uses the same credentials as the cloud's own tools. For\n" +
			"s3:// these are the credentials that the AWS SDK finds. For cos:// whoami reads\n" +
			"TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN (or\n" +
			"TENCENTCLOUD_SECURITY_TOKEN). If both the id and the key are unset, whoami uses the role of\n" +
			"the pod in Tencent Kubernetes Engine (TKE_ROLE_ARN, TKE_PROVIDER_ID, TKE_REGION and\n" +
			"TKE_WEB_IDENTITY_TOKEN_FILE).\n\n" +
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
	s.aboutIdentity = true
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

// bearer returns the identity of the caller as the store sees it.
func (s *session) bearer(ctx context.Context, p *plan) (bearer, error) {
	switch {
	case !p.InCloud():
		tenant, err := p.tenant(ctx)
		return bearer{Store: shownURL(p.set.Store.Text), Tenant: string(tenant)}, err
	case p.identity != nil:
		b, err := p.identity.bearer(ctx)
		if err == nil && p.PerRole { // in other clouds, the exchange returned the ARN
			s.askCaller(ctx, p, &b)
		}
		return b, err
	}
	tenant, err := p.tenant(ctx)
	if err != nil {
		return bearer{}, err
	}
	caller, err := p.caller(ctx)
	return bearer{
		Store: shownURL(p.set.Store.Text), Tenant: string(tenant),
		From: caller.From, ARN: caller.ARN, Account: caller.Account, CredentialsExpire: moment(caller.Expires),
	}, err
}

// caller asks the cloud for the owner of the store's credentials.
func (p *plan) caller(ctx context.Context) (vault.Caller, error) {
	store, err := p.open(ctx)
	if err != nil {
		return vault.Caller{}, err
	}
	defer store.Close()
	return store.Cloud.Caller(ctx)
}

// askCaller adds the ARN and the account that the cloud reports for the credentials of a role. If
// the cloud reports nothing, the account in b remains, which was taken from the role's ARN.
func (s *session) askCaller(ctx context.Context, p *plan, b *bearer) {
	caller, err := p.caller(ctx)
	if err != nil {
		s.note("STS did not report the caller, so the account is taken from the ARN of the role: %v", err)
		return
	}
	b.ARN, b.Account = caller.ARN, caller.Account
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
	case b.Tag != "" || b.TokenExpires == nil: // a login does not contain the tags
	case len(b.Tags) == 0:
		line("tags", "none")
	default:
		line("tags", strings.Join(slices.Sorted(maps.Keys(b.Tags)), " "))
	}
	for _, name := range b.Ignored {
		line("ignored claim", name+" (contains session tags in a form that AWS does not document)")
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
