package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
)

var policyTencent = policyDialect{
	name:     "tencent",
	usage:    "print the OIDC provider, roles and bucket settings for Tencent Cloud",
	synopsis: "--bucket B-APPID --region R --account UIN --role R --provider P --issuer URL --audience AUD --for TENANT=SUB…",
	description: "Prints one JSON object. Its fields \"oidc_provider\", \"lifecycle\", \"strict_signature\" and, with\n" +
		"--versioned, \"versioning\" have the form of the cloud's API. The field \"commands\" lists the shell\n" +
		"commands that apply them from the file policy.json. The field \"comments\" lists the requests that\n" +
		"you must send in another way, because the cloud's tools have no command for them.\n\n" +
		"The field \"tenants\" contains a role for each tenant, with its trust policy and its role policy. One\n" +
		"role for all tenants would not isolate them, because Tencent Cloud has no session tags and COS does\n" +
		"not support variables in paths.\n",
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
			textFlag("account", "`UIN` of the account that owns the bucket and the roles"),
			textFlag("role", "start of the `NAME` of each role"),
			textFlag("provider", "`NAME` of the OIDC provider in CAM"),
			textFlag("issuer", "`URL` of the OIDC issuer, exactly as in the iss claim of its tokens"),
			textFlag("audience", "audience `AUD` of the tokens"),
			listFlag("for", "print a role for this tenant: `TENANT=SUB`, where SUB is the subject of the tenant's tokens; may be repeated"),
			textFlag("jwks", "`FILE` with the issuer's key set; - is standard input. By default the printed commands download the key set"),
			textFlag("kms-key", "`ID` of the KMS key that seals objects, or its resource qcs::kms:…: allow kms:Encrypt and kms:Decrypt with it"),
			daysFlag("expire-days", "objects and old versions expire after this number of `DAYS`"),
			textFlag("audit-bucket", "`NAME-APPID` of another bucket of the region, in which COS records all requests to the objects; also prints what switches this on"),
			&cli.IntFlag{Name: "audit-days", Usage: "records expire after this number of `DAYS`", DefaultText: fmt.Sprint(tencent.DefaultAuditDays)},
			boolFlag("versioned", "enable versioning, and let tenants list and delete their own versions"),
			boolFlag("force-forbid-overwrite", "deny every write that would replace an object; cannot be used with --versioned"),
			boolFlag("allow-doctor", "let tenants read the settings of the bucket, for vault doctor"),
			textFlag("format", "output `FORMAT`: json (the default) or terraform"),
		}
	},
	required:  []string{"bucket", "region", "account", "role", "provider", "issuer", "audience"},
	forTenant: "TENANT=SUB",
	generate: func(ctx context.Context, s *session, collection string, tenants []policy.Tenant) (policyDocuments, error) {
		c := s.c
		o := tencent.Options{
			Bucket: c.String("bucket"), Region: c.String("region"), Account: c.String("account"), Role: c.String("role"),
			Provider: c.String("provider"), Issuer: c.String("issuer"), Audience: c.String("audience"),
			Collection: collection, Tenants: tenants, KMSKey: c.String("kms-key"),
			AuditBucket: c.String("audit-bucket"), AuditDays: c.Int("audit-days"),
			ExpireDays: c.Int("expire-days"), Versioned: c.Bool("versioned"),
			ForbidOverwrite: c.Bool("force-forbid-overwrite"), AllowDoctor: c.Bool("allow-doctor"),
		}
		if file := c.String("jwks"); file != "" {
			var err error
			if o.JWKS, err = s.policyData(ctx, "--jwks", file); err != nil {
				return nil, err
			}
			o.JWKS = bytes.TrimPrefix(o.JWKS, []byte("\ufeff")) // CAM rejects a byte order mark
		}
		return tencent.Generate(o)
	},

	weaknesses: tencent.Weaknesses(),
	heading:    "Weaknesses in policies for Tencent Cloud",
	values:     []string{"tencent"},
	recognises: tencent.Recognise,
	newCheck: func(c *cli.Context) policyCheck {
		o := tencent.CheckOptions{Bucket: c.String("bucket"), Issuer: c.String("issuer"), Audience: c.String("audience"), Operators: c.StringSlice("operator")}
		return &checkOf[tencent.Language]{run: func(docs []tencent.Document, audit policy.Audit) []policy.Finding {
			o.Audit = audit
			return tencent.Check(docs, o)
		}}
	},
}
