package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy/tencent"
	"github.com/objectvault/objectvault/vault"
)

func policyTencentCommand(s *session) *cli.Command {
	text := func(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
	yes := func(name, usage string) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
	}
	return &cli.Command{
		Name:      "tencent",
		Usage:     "print provider, roles and bucket settings for Tencent Cloud",
		UsageText: s.prog + " policy tencent --bucket B-APPID --region R --account UIN --role R --provider P --issuer URL --audience AUD --for TENANT=SUB… [flags]",
		HelpName:  s.prog + " policy tencent",
		Description: "Prints one JSON object: oidc_provider, tenants, lifecycle, strict_signature and, with --versioned,\n" +
			"versioning, each as the cloud's own API takes it, and the calls that apply them from policy.json.\n" +
			"Under tenants is a role for each, with its trust policy and its role policy. Claims do not become tags\n" +
			"at Tencent, and no variable works in a COS path: one role for all would keep nobody apart.\n" +
			"Of the common flags --collection limits tenants to one of their collections.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " policy tencent --bucket vault-1250000000 --region ap-guangzhou --account 100000000001 --role vault \\\n" +
			"      --provider broker --issuer https://broker.example --audience vault --for 0xabc=agentkeys:agent:0xabc > policy.json\n" +
			"   " + s.prog + " policy tencent … --for acme=repo:acme/agents:ref:refs/heads/main --for globex=… --format terraform\n" +
			"   tccli cam GetRole --RoleName vault-acme | " + s.prog + " policy check -",
		Flags: []cli.Flag{
			text("bucket", "`NAME-APPID` of the bucket"),
			text("region", "`NAME` of the bucket's region"),
			text("account", "`UIN` of the account that owns bucket and roles"),
			text("role", "what the `NAME` of each role starts with"),
			text("provider", "`NAME` of the OIDC provider in CAM"),
			text("issuer", "`URL` of the OIDC issuer, byte for byte as the iss of its tokens"),
			text("audience", "`AUD` of the tokens"),
			&cli.StringSliceFlag{Name: "for", Usage: "`TENANT=SUB` to print a role for, with the subject of its tokens; may be repeated"},
			text("jwks", "`FILE` with the issuer's key set; otherwise the commands fetch it; - is standard input"),
			&cli.IntFlag{Name: "expire-days", Usage: "objects and old versions go after so many `DAYS`; otherwise never", DefaultText: "never"},
			yes("versioned", "for a bucket with versioning: turn it on, and let tenants list and delete versions of their own"),
			yes("force-forbid-overwrite", "deny each write that would replace an object; not with --versioned"),
			yes("allow-doctor", "tenants may read how the bucket is set up"),
			text("format", "`FORM` json or terraform"),
		},
		Action: s.action(s.policyTencent),
	}
}

func (s *session) policyTencent(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	for _, flag := range []string{"bucket", "region", "account", "role", "provider", "issuer", "audience"} {
		if s.c.String(flag) == "" {
			return usagef("--%s is missing", flag)
		}
	}
	format := s.c.String("format")
	switch {
	case format != "" && format != "json" && format != "terraform":
		return usagef("--format is json or terraform")
	case format == "terraform" && s.json:
		return usagef("--format terraform does not go with --json")
	}
	o, err := s.policyTencentOptions(ctx)
	if err != nil {
		return err
	}
	docs, err := tencent.Generate(o)
	if err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), tencent.ErrOptions.Error()+": "))
	}
	switch {
	case format == "terraform":
		_, err = s.out.Write(docs.Terraform())
		return err
	case s.json:
		return s.print(docs)
	}
	_, err = s.out.Write(docs.JSON())
	return err
}

// policyTencentOptions reads the flags. What they say is checked by the package.
func (s *session) policyTencentOptions(ctx context.Context) (tencent.Options, error) {
	o := tencent.Options{
		Bucket: s.c.String("bucket"), Region: s.c.String("region"), Account: s.c.String("account"), Role: s.c.String("role"),
		Provider: s.c.String("provider"), Issuer: s.c.String("issuer"), Audience: s.c.String("audience"),
		ExpireDays: s.c.Int("expire-days"), Versioned: s.c.Bool("versioned"),
		ForbidOverwrite: s.c.Bool("force-forbid-overwrite"), AllowDoctor: s.c.Bool("allow-doctor"),
	}
	// Only the flag: a collection that a profile happens to name must not narrow this.
	if c := s.c.String("collection"); c != "" {
		parsed, err := vault.ParseCollection(c)
		if err != nil {
			return o, err
		}
		o.Collection = string(parsed)
	}
	for _, text := range s.c.StringSlice("for") {
		id, subject, _ := strings.Cut(text, "=")
		if id == "" {
			return o, usagef("--for needs a tenant: TENANT=SUB")
		}
		tenant, err := vault.ParseTenant(id)
		if err != nil {
			return o, err
		}
		o.Tenants = append(o.Tenants, tencent.Tenant{ID: string(tenant), Subject: subject})
	}
	if file := s.c.String("jwks"); file != "" {
		data, err := s.policyData(ctx, file)
		if err != nil {
			return o, err
		}
		o.JWKS = data
	}
	return o, nil
}
