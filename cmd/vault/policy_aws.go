package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/vault"
)

func policyAWSCommand(s *session) *cli.Command {
	text := func(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
	yes := func(name, usage string) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
	}
	return &cli.Command{
		Name:      "aws",
		Usage:     "print provider, policies and bucket settings for AWS or a Ceph RGW",
		UsageText: s.prog + " policy aws --bucket B --account N --role R --issuer URL [flags]",
		HelpName:  s.prog + " policy aws",
		Description: "Prints one JSON object: oidc_provider, trust_policy, role_policy, bucket_policy, lifecycle,\n" +
			"public_access_block, versioning, each as the cloud's own API takes it, and the commands that apply\n" +
			"them from policy.json. Where there is one per tenant it is under tenants.\n" +
			"One role serves all tenants, told apart by the tag of their session. Tokens without tags need\n" +
			"--isolation role: a role per tenant, whose trust names the token's subject.\n" +
			"Of the common flags --collection limits tenants to one of their collections.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " policy aws --bucket vault --account 123456789012 --role vault --issuer https://broker.example > policy.json\n" +
			"   " + s.prog + " policy aws --bucket vault --account 123456789012 --role vault --isolation role \\\n" +
			"      --issuer https://token.actions.githubusercontent.com --for acme=repo:acme/agents:ref:refs/heads/main --format terraform\n" +
			"   " + s.prog + " policy aws --dialect rgw --bucket vault --role vault --issuer http://127.0.0.1:8080 --for 0xaaa --for 0xbbb\n" +
			"   aws iam get-role-policy --role-name vault --policy-name own > have.json; " + s.prog + " policy aws … --delta have.json",
		Flags: []cli.Flag{
			text("bucket", "`NAME` of the bucket"),
			text("account", "`NUMBER` of the account, 12 digits; none at an RGW"),
			text("role", "`NAME` of the role; with --isolation role what each role's name starts with"),
			text("issuer", "`URL` of the OIDC issuer, byte for byte as the iss of its tokens"),
			text("audience", "`AUD` of the tokens; otherwise "+aws.DefaultAudience),
			text("subject", "only the tokens of this `SUB`, where tags isolate"),
			text("tag", "`KEY` of the session tag that names the tenant; otherwise "+aws.DefaultTag),
			text("isolation", "what tells tenants apart: `HOW` tag, or role"),
			&cli.StringSliceFlag{Name: "for", Usage: "`TENANT[=SUB]` to print for, with the subject where a role per tenant isolates; may be repeated"},
			text("grants", "`WHERE` the allows are: role, or bucket, as agentKeys' operators have them"),
			text("dialect", "`WHOSE` reading of policies: aws, or rgw for Ceph RADOS Gateway 16.2"),
			text("partition", "`NAME` aws, aws-cn or aws-us-gov"),
			text("region", "`NAME` of the bucket's region, for the commands"),
			text("endpoint", "`URL` of an RGW, for the commands"),
			&cli.IntFlag{Name: "expire-days", Usage: "objects and old versions go after so many `DAYS`; otherwise never", DefaultText: "never"},
			&cli.StringSliceFlag{Name: "thumbprint", Usage: "`HEX` SHA-1 of the issuer's certificate; may be repeated"},
			text("kms-key", "`ARN` of the key that the bucket encrypts with"),
			yes("allow-purge", "tenants may delete old versions for ever"),
			yes("allow-doctor", "tenants may read how the bucket is set up"),
			yes("tls", "refuse plain http at an RGW too"),
			text("format", "`FORM` json or terraform"),
			text("delta", "print only the statements that the policy in `FILE` lacks; - is standard input"),
		},
		Action: s.action(s.policyAWS),
	}
}

func (s *session) policyAWS(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	for _, flag := range []string{"bucket", "role", "issuer", "account"} {
		if s.c.String(flag) == "" && (flag != "account" || s.c.String("dialect") != string(aws.RGW)) {
			return usagef("--%s is missing", flag)
		}
	}
	o, err := s.policyOptions()
	if err != nil {
		return err
	}
	format, delta := s.c.String("format"), s.c.String("delta")
	switch {
	case format != "" && format != "json" && format != "terraform":
		return usagef("--format is json or terraform")
	case format == "terraform" && (s.json || delta != ""):
		return usagef("--format terraform goes with neither --json nor --delta")
	}
	docs, err := aws.Generate(o)
	if err != nil {
		return usagef("%s", strings.TrimPrefix(err.Error(), aws.ErrOptions.Error()+": "))
	}
	switch {
	case delta != "":
		return s.policyDelta(ctx, docs, delta)
	case format == "terraform":
		_, err = s.out.Write(docs.Terraform())
		return err
	case s.json:
		return s.print(docs)
	}
	_, err = s.out.Write(docs.JSON())
	return err
}

// policyOptions reads the flags. What they say is checked by the package.
func (s *session) policyOptions() (aws.Options, error) {
	o := aws.Options{
		Dialect:   aws.Dialect(s.c.String("dialect")),
		Isolation: aws.Isolation(s.c.String("isolation")),
		Grants:    aws.Grants(s.c.String("grants")),
		Partition: s.c.String("partition"), Account: s.c.String("account"), Bucket: s.c.String("bucket"), Role: s.c.String("role"),
		Issuer: s.c.String("issuer"), Audience: s.c.String("audience"), Subject: s.c.String("subject"), Tag: s.c.String("tag"),
		ExpireDays: s.c.Int("expire-days"), Thumbprints: s.c.StringSlice("thumbprint"), KMSKey: s.c.String("kms-key"),
		Region: s.c.String("region"), Endpoint: s.c.String("endpoint"),
		AllowPurge: s.c.Bool("allow-purge"), AllowDoctor: s.c.Bool("allow-doctor"), TLS: s.c.Bool("tls"),
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
			return o, usagef("--for needs a tenant: TENANT or TENANT=SUB")
		}
		tenant, err := vault.ParseTenant(id)
		if err != nil {
			return o, err
		}
		o.Tenants = append(o.Tenants, aws.Tenant{ID: string(tenant), Subject: subject})
	}
	return o, nil
}

// policyDelta prints what the policy in a file lacks.
func (s *session) policyDelta(ctx context.Context, docs *aws.Documents, file string) error {
	have, err := s.policies(ctx, file)
	if err != nil {
		return err
	}
	if len(have) != 1 {
		return usagef("%s: there are %d policies in it: --delta takes one", file, len(have))
	}
	want, err := part(docs, have[0].Part)
	if err != nil {
		return err
	}
	rest := want.Missing(have[0].Policy)
	if len(rest.Statement) == 0 {
		s.note("nothing has to be added to the %s", have[0].Part)
	}
	return s.print(rest)
}

// part is ours of the documents that are meant.
func part(docs *aws.Documents, which aws.Part) (*aws.Policy, error) {
	p := map[aws.Part]*aws.Policy{
		aws.TrustPolicy: docs.TrustPolicy, aws.RolePolicy: docs.RolePolicy, aws.BucketPolicy: docs.BucketPolicy,
	}[which]
	if p == nil && which != aws.BucketPolicy {
		for _, t := range docs.Tenants {
			if len(docs.Tenants) > 1 {
				return nil, usagef("there is a %s per tenant: name one with --for", which)
			}
			p = map[aws.Part]*aws.Policy{aws.TrustPolicy: t.TrustPolicy, aws.RolePolicy: t.RolePolicy}[which]
		}
	}
	if p == nil {
		return nil, usagef("with these flags there is no %s", which)
	}
	return p, nil
}

// policies reads the policies of AWS in a file, or of standard input for "-".
func (s *session) policies(ctx context.Context, file string) ([]aws.Document, error) {
	data, err := s.policyData(ctx, file)
	if err != nil {
		return nil, err
	}
	docs, err := aws.Parse(file, data)
	if err != nil {
		return nil, usagef("%s: %v", file, err)
	}
	return docs, nil
}

// policyData is a document as it was written; a byte more than any may have is left to
// the parser to refuse.
func (s *session) policyData(ctx context.Context, file string) ([]byte, error) {
	f, err := s.input(ctx, file)
	if err != nil {
		return nil, cannotOpen(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, aws.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return data, nil
}
