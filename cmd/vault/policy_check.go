package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/providers/aws/policy"
)

func policyCheckCommand(s *session) *cli.Command {
	text := func(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
	var holes strings.Builder
	for _, h := range policy.Holes() {
		fmt.Fprintf(&holes, "   %-20s %s\n", h.ID, h.Is)
	}
	return &cli.Command{
		Name:      "check",
		Usage:     "name the known holes of policies",
		UsageText: s.prog + " policy check FILE…",
		HelpName:  s.prog + " policy check",
		Description: "Reads trust, role and bucket policies: bare ones, the answers of aws iam get-role, get-role-policy,\n" +
			"get-policy-version and s3api get-bucket-policy, or what policy aws printed; - is standard input. Give all\n" +
			"that concern a role at once: what isolates is found out from all of them. With a hole the exit code is 1.\n" +
			"No hole means none of these, in these files; an RGW of version 16.2 is meant by --dialect rgw.\n\n" +
			"Holes:\n" + holes.String() + "\n" +
			"Examples:\n" +
			"   " + s.prog + " policy check policy.json\n" +
			"   aws iam get-role --role-name vault | " + s.prog + " policy check - --tag agentkeys_user_wallet --audience sts.amazonaws.com",
		Flags: []cli.Flag{
			text("dialect", "`WHOSE` reading of policies: aws, or rgw"),
			text("isolation", "`HOW` tenants are told apart: tag or role; otherwise found out"),
			text("bucket", "only what concerns the bucket `NAME`"),
			text("tag", "`KEY` of the session tag that names the tenant; otherwise found out"),
			text("audience", "`AUD` of the tokens; otherwise found out"),
			&cli.BoolFlag{Name: "allow-purge", Usage: "tenants are meant to delete old versions for ever", DisableDefaultText: true},
			&cli.BoolFlag{Name: "tls", Usage: "plain http is a hole at an RGW too", DisableDefaultText: true},
		},
		Action: s.action(s.policyCheck),
	}
}

func (s *session) policyCheck(ctx context.Context) error {
	files, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	o := policy.CheckOptions{
		Dialect: policy.Dialect(s.c.String("dialect")), Isolation: policy.Isolation(s.c.String("isolation")),
		Bucket: s.c.String("bucket"), Tag: s.c.String("tag"), Audience: s.c.String("audience"),
		AllowPurge: s.c.Bool("allow-purge"), TLS: s.c.Bool("tls"),
	}
	switch {
	case o.Dialect != "" && o.Dialect != policy.AWS && o.Dialect != policy.RGW:
		return usagef("--dialect is aws or rgw")
	case o.Isolation != "" && o.Isolation != policy.ByTag && o.Isolation != policy.ByRole:
		return usagef("--isolation is tag or role")
	}
	var docs []policy.Document
	for _, file := range files {
		d, err := s.policies(ctx, file)
		if err != nil {
			return err
		}
		docs = append(docs, d...)
	}
	return checkPolicies(s.ui, docs, o)
}

func checkPolicies(u *ui, docs []policy.Document, o policy.CheckOptions) error {
	found := policy.Check(docs, o)
	for _, f := range found {
		if err := printFinding(u, f); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %d in %s", errHolesFound, len(found), count(len(docs), "policy", "policies"))
	}
	u.note("no known hole in %s", count(len(docs), "policy", "policies"))
	return nil
}

func printFinding(u *ui, f policy.Finding) error {
	switch {
	case u.json:
		return u.print(f)
	case u.outTTY:
		_, err := io.WriteString(u.out, visible(fmt.Sprintf("%s: %s: %s", f.File, f.Where(), f.Hole))+"\n   "+visible(f.Message)+"\n   fix: "+visible(f.Fix)+"\n")
		return err
	}
	return u.columns("lllll", "FILE", "WHERE", "HOLE", "WHAT IT ALLOWS", "WHAT TO DO").add(f.File, f.Where(), f.Hole, f.Message, f.Fix)
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
