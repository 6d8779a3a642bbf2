package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/policy/tencent"
)

func policyCheckCommand(s *session) *cli.Command {
	list := ""
	for _, d := range policyDialects {
		list += d.heading + ":\n"
		for _, w := range d.weaknesses {
			list += fmt.Sprintf("   %-20s %s\n", w.ID, w.Meaning)
		}
		list += "\n"
	}
	return &cli.Command{
		Name:      "check",
		Usage:     "name the known holes of policies",
		UsageText: s.prog + " policy check FILE…",
		HelpName:  s.prog + " policy check",
		Description: "Reads trust, role and bucket policies: bare ones, the responses of aws iam get-role, get-role-policy,\n" +
			"get-policy-version, list-roles, get-account-authorization-details and s3api get-bucket-policy, or what\n" +
			"--query takes from them, or what policy aws printed; - is standard input. A file may hold several, one\n" +
			"after the other or in a list, and may be URL-encoded. Give all that concern a role at once: what isolates\n" +
			"is found out from all of them, and policies that do not name their role are taken for those of one role.\n" +
			"With a hole the exit code is 1. No hole means none of these, in these files; an RGW of version 16.2 is\n" +
			"meant by --dialect rgw.\n" +
			"Policies of Tencent Cloud are told by their version 2.0: bare ones, the responses of tccli cam GetRole,\n" +
			"DescribeRoleList, GetPolicy and GetPolicyVersion, or what --filter takes from them, and of COS GET ?policy,\n" +
			"or what policy tencent printed. Of the flags --bucket, --audience and --operator are for them too, and\n" +
			"--issuer is for them alone.\n\n" +
			list + examples(s.prog, []string{
			"{prog} policy check policy.json",
			"aws iam get-role --role-name vault | {prog} policy check - --tag agentkeys_user_wallet --audience sts.amazonaws.com",
			"aws iam get-account-authorization-details | {prog} policy check - --bucket vault --operator arn:aws:iam::123456789012:role/admin",
		}),
		Flags: []cli.Flag{
			textFlag("dialect", "`WHOSE` reading of policies: aws, rgw or tencent; otherwise found out, aws and not rgw"),
			textFlag("isolation", "`HOW` tenants are told apart: tag or role; otherwise found out"),
			textFlag("bucket", "only what concerns the bucket `NAME`; otherwise those in which a policy names bots/, or all"),
			textFlag("tag", "`KEY` of the session tag that names the tenant; otherwise found out"),
			textFlag("audience", "`AUD` of the tokens; otherwise found out"),
			textFlag("issuer", "`URL` of the issuer, at Tencent Cloud; otherwise any"),
			listFlag("operator", "`ARN`, or qcs::cam::uin/… at Tencent Cloud, of one who is meant to reach every tenant; may be repeated"),
			boolFlag("allow-purge", "tenants are meant to delete old versions for ever"),
			boolFlag("tls", "plain http is a hole at an RGW too"),
		},
		Action: s.action(s.policyCheck),
	}
}

// A policyCheck reads the policies of one dialect and checks them together.
type policyCheck interface {
	read(file string, data []byte) error
	check() (policies int, found []policy.Finding)
}

type checkOf[L policy.Language] struct {
	docs []policy.Document[L]
	run  func([]policy.Document[L]) []policy.Finding
}

func (c *checkOf[L]) read(file string, data []byte) error {
	docs, err := policy.Parse[L](file, data)
	c.docs = append(c.docs, docs...)
	return err
}

func (c *checkOf[L]) check() (int, []policy.Finding) { return len(c.docs), c.run(c.docs) }

func (s *session) policyCheck(ctx context.Context) error {
	files, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	named, isolation := s.c.String("dialect"), aws.Isolation(s.c.String("isolation"))
	dialect := slices.IndexFunc(policyDialects, func(d policyDialect) bool { return slices.Contains(d.values, named) })
	switch {
	case named != "" && dialect < 0:
		return usagef("--dialect is aws, rgw or tencent")
	case isolation != "" && isolation != aws.ByTag && isolation != aws.ByRole:
		return usagef("--isolation is tag or role")
	}
	for _, name := range s.c.StringSlice("operator") {
		if !aws.IsPrincipal(name) && !tencent.IsPrincipal(name) {
			return usagef("--operator %s is neither the ARN of a role, user or account nor a principal such as qcs::cam::uin/1:uin/2", name)
		}
	}
	var checks []policyCheck
	for _, d := range policyDialects {
		checks = append(checks, d.newCheck(s.c))
	}
	for _, file := range files {
		data, err := s.policyData(ctx, file)
		if err != nil {
			return err
		}
		i := dialect
		if named == "" { // The first dialect reads what no other one recognises.
			i = max(0, slices.IndexFunc(policyDialects, func(d policyDialect) bool { return d.recognises != nil && d.recognises(data) }))
		}
		if err := checks[i].read(file, data); err != nil {
			return usagef("%s: %v", file, err)
		}
	}
	policies := 0
	var found []policy.Finding
	for i, c := range checks {
		n, list := c.check()
		if policyDialects[i].name == policyTencent.name && n == 0 && s.c.String("issuer") != "" {
			return usagef("--issuer is about policies of Tencent Cloud, and there is none")
		}
		policies, found = policies+n, append(found, list...)
	}
	return printFindings(s.ui, found, count(policies, "policy", "policies"))
}

func printFindings(u *ui, found []policy.Finding, policies string) error {
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

func printFinding(u *ui, f policy.Finding) error {
	switch {
	case u.json:
		return u.print(f)
	case u.outTTY:
		_, err := io.WriteString(u.out, visible(fmt.Sprintf("%s: %s: %s", f.File, f.Where(), f.Weakness))+"\n   "+visible(f.Message)+"\n   fix: "+visible(f.Fix)+"\n")
		return err
	}
	return u.columns("lllll", "FILE", "WHERE", "HOLE", "WHAT IT ALLOWS", "WHAT TO DO").add(f.File, f.Where(), f.Weakness, f.Message, f.Fix)
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
