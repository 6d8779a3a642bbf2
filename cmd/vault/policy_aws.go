package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
)

var policyAWS = policyDialect{
	name:     "aws",
	usage:    "print the OIDC provider, policies and bucket settings for AWS or a Ceph RGW",
	synopsis: "--bucket B --account N --role R --issuer URL",
	description: "Prints one JSON object. Its fields \"oidc_provider\", \"trust_policy\", \"role_policy\", \"bucket_policy\",\n" +
		"\"lifecycle\", \"public_access_block\" and \"versioning\" have the form of the AWS API. The field\n" +
		"\"tenants\" contains the documents that differ for each tenant. The field \"commands\" lists the shell\n" +
		"commands that apply all documents from the file policy.json.\n\n" +
		"By default all tenants use one role, and a session tag names the tenant. If the issuer's tokens have\n" +
		"no tags, use --isolation role: then each tenant has its own role, and the trust policy of the role\n" +
		"names the subject of the tenant's tokens.\n",
	examples: []string{
		"{prog} policy aws --bucket vault --account 123456789012 --role vault --issuer https://broker.example > policy.json",
		"{prog} policy aws --bucket vault --account 123456789012 --role vault --isolation role \\",
		"   --issuer https://token.actions.githubusercontent.com --for acme=repo:acme/agents:ref:refs/heads/main --format terraform",
		"{prog} policy aws --dialect rgw --bucket vault --role vault --issuer http://127.0.0.1:8080 --for 0xaaa --for 0xbbb",
		"aws iam get-role-policy --role-name vault --policy-name own > have.json; {prog} policy aws … --delta have.json",
	},
	flags: func() []cli.Flag {
		return []cli.Flag{
			textFlag("bucket", "`NAME` of the bucket"),
			textFlag("account", "account `NUMBER`, 12 digits; not used for an RGW"),
			textFlag("role", "`NAME` of the role; with --isolation role, the start of each role's name"),
			textFlag("issuer", "`URL` of the OIDC issuer, exactly as in the iss claim of its tokens"),
			textFlag("audience", "audience `AUD` of the tokens; by default "+aws.DefaultAudience),
			textFlag("subject", "accept only tokens with the subject `SUB`; cannot be used with --isolation role"),
			textFlag("tag", "`KEY` of the session tag that names the tenant; by default "+aws.DefaultTag),
			textFlag("isolation", "`HOW` tenants are isolated: tag (the default) or role"),
			listFlag("for", "print the policies of `TENANT[=SUB]`; with --isolation role, SUB is the subject of the tenant's tokens; may be repeated"),
			textFlag("grants", "`WHERE` the Allow statements are: role (the default) for the policy of the role, or bucket for the policy of the bucket"),
			textFlag("dialect", "policy `DIALECT`: aws, or rgw for Ceph RADOS Gateway 16.2"),
			textFlag("partition", "partition `NAME`: aws, aws-cn or aws-us-gov"),
			textFlag("region", "`NAME` of the bucket's region, used in the commands; us-east-1 by default for an RGW"),
			textFlag("endpoint", "`URL` of an RGW, used in the commands"),
			daysFlag("expire-days", "objects and old versions expire after this number of `DAYS`"),
			listFlag("thumbprint", "SHA-1 of the issuer's certificate in `HEX`; may be repeated"),
			textFlag("kms-key", "`ARN` of the KMS key that seals objects: allow kms:Encrypt and kms:Decrypt with it"),
			textFlag("bucket-kms-key", "`ARN` of the KMS key with which S3 encrypts the bucket"),
			textFlag("audit-bucket", "`NAME` of another bucket, in which AWS records all requests to the objects; also prints what switches this on"),
			textFlag("audit-method", "`HOW` AWS records requests: cloudtrail (the default) or access-logs"),
			&cli.IntFlag{Name: "audit-days", Usage: "records expire after this number of `DAYS`", DefaultText: fmt.Sprint(aws.DefaultAuditDays)},
			boolFlag("allow-purge", "let tenants permanently delete their old versions"),
			boolFlag("allow-doctor", "let tenants read the settings of the bucket, for vault doctor"),
			boolFlag("tls", "also deny plain http for an RGW; for AWS it is always denied"),
			textFlag("format", "output `FORMAT`: json (the default) or terraform"),
			textFlag("delta", "read a policy from `FILE` and print only the statements that it lacks; - is standard input"),
		}
	},
	required:  []string{"bucket", "role", "issuer"},
	forTenant: "TENANT or TENANT=SUB",
	generate: func(_ context.Context, s *session, collection string, tenants []policy.Tenant) (policyDocuments, error) {
		c := s.c
		if c.String("account") == "" && c.String("dialect") != string(aws.RGW) {
			return nil, usagef("--account is missing")
		}
		return aws.Generate(aws.Options{
			Dialect:   aws.Dialect(c.String("dialect")),
			Isolation: aws.Isolation(c.String("isolation")),
			Grants:    aws.Grants(c.String("grants")),
			Partition: c.String("partition"), Account: c.String("account"), Bucket: c.String("bucket"), Role: c.String("role"),
			Issuer: c.String("issuer"), Audience: c.String("audience"), Subject: c.String("subject"), Tag: c.String("tag"),
			Collection: collection, Tenants: tenants,
			ExpireDays: c.Int("expire-days"), Thumbprints: c.StringSlice("thumbprint"), KMSKey: c.String("kms-key"), BucketKey: c.String("bucket-kms-key"),
			Region: c.String("region"), Endpoint: c.String("endpoint"),
			AuditBucket: c.String("audit-bucket"), AuditMethod: aws.AuditMethod(c.String("audit-method")), AuditDays: c.Int("audit-days"),
			AllowPurge: c.Bool("allow-purge"), AllowDoctor: c.Bool("allow-doctor"), TLS: c.Bool("tls"),
		})
	},
	delta: policyDelta,

	weaknesses: aws.Weaknesses(),
	heading:    "Weaknesses in policies for AWS and for an RGW",
	values:     []string{string(aws.AWS), string(aws.RGW)},
	newCheck: func(c *cli.Context) policyCheck {
		o := aws.CheckOptions{
			Dialect: aws.Dialect(c.String("dialect")), Isolation: aws.Isolation(c.String("isolation")),
			Bucket: c.String("bucket"), Tag: c.String("tag"), Audience: c.String("audience"),
			AllowPurge: c.Bool("allow-purge"), TLS: c.Bool("tls"), Operators: c.StringSlice("operator"),
		}
		return &checkOf[aws.Language]{run: func(docs []aws.Document, audit policy.Audit) []policy.Finding {
			o.Audit = audit
			return aws.Check(docs, o)
		}}
	},
}

// policyDelta prints the statements that are missing in the policy in a file.
func policyDelta(ctx context.Context, s *session, docs policyDocuments, file string) error {
	data, err := s.policyData(ctx, "--delta", file)
	if err != nil {
		return err
	}
	existing, err := aws.Parse(file, data)
	switch {
	case err != nil:
		return usagef("%s: %v", file, err)
	case len(existing) != 1:
		return usagef("%s contains %d policies, but --delta requires exactly one", file, len(existing))
	}
	generated, err := generatedPart(docs.(*aws.Documents), existing[0].Part)
	if err != nil {
		return err
	}
	missing := aws.Missing(generated, existing[0].Policy)
	if len(missing.Statement) == 0 {
		s.note("no statement is missing in the %s", existing[0].Part)
	}
	return s.print(missing)
}

// generatedPart returns the generated policy with the given part.
func generatedPart(docs *aws.Documents, part policy.Part) (*aws.Policy, error) {
	p := map[policy.Part]*aws.Policy{
		policy.TrustPolicy: docs.TrustPolicy, policy.RolePolicy: docs.RolePolicy, policy.BucketPolicy: docs.BucketPolicy,
	}[part]
	if p == nil && part != policy.BucketPolicy {
		for _, t := range docs.Tenants {
			if len(docs.Tenants) > 1 {
				return nil, usagef("each tenant has its own %s: choose one with --for", part)
			}
			p = map[policy.Part]*aws.Policy{policy.TrustPolicy: t.TrustPolicy, policy.RolePolicy: t.RolePolicy}[part]
		}
	}
	if p == nil {
		return nil, usagef("with these flags, %s is not generated, so it cannot be compared", part)
	}
	return p, nil
}
