package main

import (
	"bytes"
	"context"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

var policyTencent = policyDialect{
	name:     "tencent",
	usage:    "print provider, roles and bucket settings for Tencent Cloud",
	synopsis: "--bucket B-APPID --region R --account UIN --role R --provider P --issuer URL --audience AUD --for TENANT=SUB…",
	description: "Prints one JSON object: oidc_provider, tenants, lifecycle, strict_signature and, with --versioned,\n" +
		"versioning, each as the cloud's own API takes it, the commands that apply them from policy.json, and\n" +
		"under comments the requests for which the cloud's tools have no command.\n" +
		"Under tenants is a role for each, with its trust policy and its role policy. Claims do not become tags\n" +
		"at Tencent, and no variable works in a COS path: one role for all would keep nobody apart.",
	examples: []string{
		"{prog} policy tencent --bucket vault-1250000000 --region ap-guangzhou --account 100000000001 --role vault \\",
		"   --provider broker --issuer https://broker.example --audience vault --for 0xabc=agentkeys:agent:0xabc > policy.json",
		"{prog} policy tencent … --for acme=repo:acme/agents:ref:refs/heads/main --for globex=… --format terraform",
		"tccli cam GetRole --RoleName vault-acme | {prog} policy check -",
	},
	flags: func() []cli.Flag {
		return []cli.Flag{
			textFlag("bucket", "`NAME-APPID` of the bucket"),
			textFlag("region", "`NAME` of the bucket's region"),
			textFlag("account", "`UIN` of the account that owns bucket and roles"),
			textFlag("role", "what the `NAME` of each role starts with"),
			textFlag("provider", "`NAME` of the OIDC provider in CAM"),
			textFlag("issuer", "`URL` of the OIDC issuer, byte for byte as the iss of its tokens"),
			textFlag("audience", "`AUD` of the tokens"),
			listFlag("for", "`TENANT=SUB` to print a role for, with the subject of its tokens; may be repeated"),
			textFlag("jwks", "`FILE` with the issuer's key set; otherwise the commands fetch it; - is standard input"),
			daysFlag("expire-days", "objects and old versions go after so many `DAYS`; otherwise never"),
			boolFlag("versioned", "for a bucket with versioning: turn it on, and let tenants list and delete versions of their own"),
			boolFlag("force-forbid-overwrite", "deny each write that would replace an object; not with --versioned"),
			boolFlag("allow-doctor", "tenants may read how the bucket is set up"),
			textFlag("format", "`FORM` json or terraform"),
		}
	},
	required:  []string{"bucket", "region", "account", "role", "provider", "issuer", "audience"},
	forTenant: "TENANT=SUB",
	generate: func(ctx context.Context, s *session, collection string, tenants []policy.Tenant) (policyDocuments, error) {
		c := s.c
		o := tencent.Options{
			Bucket: c.String("bucket"), Region: c.String("region"), Account: c.String("account"), Role: c.String("role"),
			Provider: c.String("provider"), Issuer: c.String("issuer"), Audience: c.String("audience"),
			Collection: collection, Tenants: tenants,
			ExpireDays: c.Int("expire-days"), Versioned: c.Bool("versioned"),
			ForbidOverwrite: c.Bool("force-forbid-overwrite"), AllowDoctor: c.Bool("allow-doctor"),
		}
		if file := c.String("jwks"); file != "" {
			var err error
			if o.JWKS, err = s.policyData(ctx, file); err != nil {
				return nil, err
			}
			o.JWKS = bytes.TrimPrefix(o.JWKS, []byte("\ufeff")) // which CAM does not take
		}
		return tencent.Generate(o)
	},

	weaknesses: tencent.Weaknesses(),
	heading:    "Holes at Tencent Cloud",
	values:     []string{"tencent"},
	recognises: tencent.Recognise,
	newCheck: func(c *cli.Context) policyCheck {
		o := tencent.CheckOptions{Bucket: c.String("bucket"), Issuer: c.String("issuer"), Audience: c.String("audience"), Operators: c.StringSlice("operator")}
		return &checkOf[tencent.Language]{run: func(docs []tencent.Document) []policy.Finding { return tencent.Check(docs, o) }}
	},
}
