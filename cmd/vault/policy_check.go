package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/policy/tencent"
)

func policyCheckCommand(s *session) *cli.Command {
	text := func(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }
	var holes, ofTencent strings.Builder
	for _, h := range aws.Holes() {
		fmt.Fprintf(&holes, "   %-20s %s\n", h.ID, h.Is)
	}
	for _, h := range tencent.Holes() {
		fmt.Fprintf(&ofTencent, "   %-20s %s\n", h.ID, h.Is)
	}
	return &cli.Command{
		Name:      "check",
		Usage:     "name the known holes of policies",
		UsageText: s.prog + " policy check FILE…",
		HelpName:  s.prog + " policy check",
		Description: "Reads trust, role and bucket policies: bare ones, the answers of aws iam get-role, get-role-policy,\n" +
			"get-policy-version and s3api get-bucket-policy, or what policy aws printed; - is standard input. Give all\n" +
			"that concern a role at once: what isolates is found out from all of them. With a hole the exit code is 1.\n" +
			"No hole means none of these, in these files; an RGW of version 16.2 is meant by --dialect rgw.\n" +
			"Policies of Tencent Cloud are told by their version 2.0: bare ones, the answers of tccli cam GetRole,\n" +
			"GetPolicy and GetPolicyVersion and of COS GET ?policy, or what policy tencent printed. Of the flags\n" +
			"--bucket and --audience are for them too, and --issuer is for them alone.\n\n" +
			"Holes:\n" + holes.String() + "\n" +
			"Holes at Tencent Cloud:\n" + ofTencent.String() + "\n" +
			"Examples:\n" +
			"   " + s.prog + " policy check policy.json\n" +
			"   aws iam get-role --role-name vault | " + s.prog + " policy check - --tag agentkeys_user_wallet --audience sts.amazonaws.com",
		Flags: []cli.Flag{
			text("dialect", "`WHOSE` reading of policies: aws, rgw or tencent; otherwise found out, aws and not rgw"),
			text("isolation", "`HOW` tenants are told apart: tag or role; otherwise found out"),
			text("bucket", "only what concerns the bucket `NAME`"),
			text("tag", "`KEY` of the session tag that names the tenant; otherwise found out"),
			text("audience", "`AUD` of the tokens; otherwise found out"),
			text("issuer", "`URL` of the issuer, at Tencent Cloud; otherwise any"),
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
	o := aws.CheckOptions{
		Dialect: aws.Dialect(s.c.String("dialect")), Isolation: aws.Isolation(s.c.String("isolation")),
		Bucket: s.c.String("bucket"), Tag: s.c.String("tag"), Audience: s.c.String("audience"),
		AllowPurge: s.c.Bool("allow-purge"), TLS: s.c.Bool("tls"),
	}
	const tencentDialect = "tencent"
	switch {
	case o.Dialect != "" && o.Dialect != aws.AWS && o.Dialect != aws.RGW && o.Dialect != tencentDialect:
		return usagef("--dialect is aws, rgw or tencent")
	case o.Isolation != "" && o.Isolation != aws.ByTag && o.Isolation != aws.ByRole:
		return usagef("--isolation is tag or role")
	}
	var docs []aws.Document
	var ofTencent []tencent.Document
	for _, file := range files {
		data, err := s.policyData(ctx, file)
		if err != nil {
			return err
		}
		if o.Dialect == tencentDialect || o.Dialect == "" && tencent.Recognise(data) {
			d, err := tencent.Parse(file, data)
			if err != nil {
				return usagef("%s: %v", file, err)
			}
			ofTencent = append(ofTencent, d...)
			continue
		}
		d, err := aws.Parse(file, data)
		if err != nil {
			return usagef("%s: %v", file, err)
		}
		docs = append(docs, d...)
	}
	issuer := s.c.String("issuer")
	if issuer != "" && len(ofTencent) == 0 {
		return usagef("--issuer is about policies of Tencent Cloud, and there is none")
	}
	var found []finding
	for _, f := range aws.Check(docs, o) {
		found = append(found, finding{f, f.File, f.Where(), f.Hole, f.Message, f.Fix})
	}
	for _, f := range tencent.Check(ofTencent, tencent.CheckOptions{Bucket: o.Bucket, Issuer: issuer, Audience: o.Audience}) {
		found = append(found, finding{f, f.File, f.Where(), f.Hole, f.Message, f.Fix})
	}
	return printFindings(s.ui, found, count(len(docs)+len(ofTencent), "policy", "policies"))
}

// A finding is a hole in a document of any cloud.
type finding struct {
	whole                           any // as JSON has it
	file, where, hole, message, fix string
}

func printFindings(u *ui, found []finding, policies string) error {
	for _, f := range found {
		if err := printFinding(u, f); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %d in %s", errHolesFound, len(found), policies)
	}
	u.note("no known hole in %s", policies)
	return nil
}

func printFinding(u *ui, f finding) error {
	switch {
	case u.json:
		return u.print(f.whole)
	case u.outTTY:
		_, err := io.WriteString(u.out, visible(fmt.Sprintf("%s: %s: %s", f.file, f.where, f.hole))+"\n   "+visible(f.message)+"\n   fix: "+visible(f.fix)+"\n")
		return err
	}
	return u.columns("lllll", "FILE", "WHERE", "HOLE", "WHAT IT ALLOWS", "WHAT TO DO").add(f.file, f.where, f.hole, f.message, f.fix)
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
