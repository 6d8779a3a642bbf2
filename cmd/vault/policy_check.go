package main

import (
	"bytes"
	"context"
	"errors"
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
		Usage:     "find known weaknesses in policies",
		UsageText: s.prog + " policy check FILE…",
		HelpName:  s.prog + " policy check",
		Description: "Reads trust, role and bucket policies from each FILE; - is standard input. A file may contain several\n" +
			"policies, one after the other or in a list, and may be URL-encoded. A file may contain plain\n" +
			"policies, the output of policy aws and policy tencent, or the output of the commands below. You\n" +
			"may shorten the output of these commands with --query or --filter:\n\n" +
			"   aws iam get-role, get-role-policy, get-policy-version, list-roles,\n" +
			"      get-account-authorization-details; aws s3api get-bucket-policy\n" +
			"   tccli cam GetRole, DescribeRoleList, GetPolicy, GetPolicyVersion; COS GET ?policy\n\n" +
			"To check the audit, too, add the policy of the audit bucket and the settings that switch the audit\n" +
			"on: the output of aws s3api get-bucket-logging, of aws cloudtrail get-trail and\n" +
			"get-event-selectors, or the response of COS GET ?logging. Two of these do not name their bucket, so\n" +
			"pass those of the bucket with the objects. Settings that name another trail or bucket do not count.\n\n" +
			"Check all policies that apply to a role in one run, because two policies that are safe separately\n" +
			"may be weak together. All policies that do not name a role are checked together, as if they were\n" +
			"the policies of one role. If check finds a weakness, it exits with code 1. Otherwise, the files contain\n" +
			"none of the weaknesses listed below, but may have others.\n\n" +
			"Policies with version 2.0 are policies of Tencent Cloud. Only the flags --dialect, --bucket,\n" +
			"--audience, --operator and --issuer have an effect on them.\n\n" +
			list + examples(s.prog, []string{
			"{prog} policy check policy.json",
			"aws iam get-role --role-name vault | {prog} policy check - --tag agentkeys_user_wallet --audience sts.amazonaws.com",
			"aws iam get-account-authorization-details | {prog} policy check - --bucket vault --operator arn:aws:iam::123456789012:role/admin",
		}),
		Flags: []cli.Flag{
			textFlag("dialect", "policy `DIALECT`: aws, rgw (Ceph RADOS Gateway 16.2) or tencent. By default, aws and tencent are detected, but rgw must be set"),
			textFlag("isolation", "`HOW` tenants are isolated: tag or role; detected by default"),
			textFlag("bucket", "check only the bucket `NAME`. By default, check the buckets in which a policy allows access to the prefix bots/ of the tenants; if there is no such bucket, check all buckets"),
			textFlag("tag", "`KEY` of the session tag that names the tenant; detected by default"),
			textFlag("audience", "audience `AUD` of the tokens; detected by default"),
			textFlag("issuer", "`URL` of the issuer, for Tencent Cloud; by default any issuer"),
			listFlag("operator", "accept that this principal can access all tenants: `ARN`, or qcs::cam::uin/… for Tencent Cloud; may be repeated"),
			textFlag("audit-bucket", "`NAME` of the bucket in which requests are recorded; by default, the one that a file names"),
			boolFlag("allow-purge", "accept that tenants can permanently delete old versions"),
			boolFlag("tls", "report plain http for an RGW, too"),
		},
		Action: s.action(s.policyCheck),
	}
}

// A policyCheck reads the policies of one dialect and checks them together.
type policyCheck interface {
	read(file string, data []byte) error
	check(policy.Audit) (policies int, found []policy.Finding)
}

type checkOf[L policy.Language] struct {
	docs []policy.Document[L]
	run  func([]policy.Document[L], policy.Audit) []policy.Finding
}

func (c *checkOf[L]) read(file string, data []byte) error {
	docs, err := policy.Parse[L](file, data)
	c.docs = append(c.docs, docs...)
	return err
}

func (c *checkOf[L]) check(audit policy.Audit) (int, []policy.Finding) {
	if len(c.docs) == 0 {
		return 0, nil
	}
	return len(c.docs), c.run(c.docs, audit)
}

func (s *session) policyCheck(ctx context.Context) error {
	files, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	dialectName, isolation := s.c.String("dialect"), aws.Isolation(s.c.String("isolation"))
	dialect := slices.IndexFunc(policyDialects, func(d policyDialect) bool { return slices.Contains(d.values, dialectName) })
	switch {
	case dialectName != "" && dialect < 0:
		return usagef("--dialect must be aws, rgw or tencent")
	case isolation != "" && isolation != aws.ByTag && isolation != aws.ByRole:
		return usagef("--isolation must be tag or role")
	}
	for _, name := range s.c.StringSlice("operator") {
		if !aws.IsPrincipal(name) && !tencent.IsPrincipal(name) {
			return usagef("--operator %s is not a principal: use the ARN of a role, user or account, or for Tencent Cloud a form such as qcs::cam::uin/1:uin/2", name)
		}
	}
	audit := policy.Audit{Bucket: s.c.String("audit-bucket")}
	var checks []policyCheck
	for _, d := range policyDialects {
		checks = append(checks, d.newCheck(s.c))
	}
	for _, file := range files {
		data, err := s.policyData(ctx, "FILE", file)
		if err != nil {
			return err
		}
		i := dialect
		if dialectName == "" { // The first dialect reads the files that no other dialect recognises.
			i = max(0, slices.IndexFunc(policyDialects, func(d policyDialect) bool { return d.recognises != nil && d.recognises(data) }))
		}
		settings := audit.Add(file, data)
		if settings && bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
			continue // the XML of COS
		}
		if err := checks[i].read(file, data); err != nil && !(settings && errors.Is(err, policy.ErrNoPolicy)) {
			return usagef("%s: %v", file, err)
		}
	}
	policies := 0
	var found []policy.Finding
	for i, c := range checks {
		n, list := c.check(audit)
		if policyDialects[i].name == policyTencent.name && n == 0 && s.c.String("issuer") != "" {
			return usagef("--issuer applies only to policies of Tencent Cloud, but the files contain none")
		}
		policies += n
		for _, f := range list {
			if f.Part != "audit" || !slices.Contains(found, f) { // the settings concern both clouds
				found = append(found, f)
			}
		}
	}
	if policies == 0 {
		found = audit.Check([]string{s.c.String("bucket")})
	}
	return printFindings(s.ui, found, plural(policies, "policy", "policies"))
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
	u.note("no known weakness in %s", policies)
	return nil
}

func printFinding(u *ui, f policy.Finding) error {
	switch {
	case u.json:
		return u.print(f)
	case u.outTTY:
		heading := u.emphasized(notable, visible(fmt.Sprintf("%s: %s: %s", f.File, f.Where(), f.Weakness)))
		_, err := io.WriteString(u.out, heading+"\n   "+visible(f.Message)+"\n   fix: "+visible(f.Fix)+"\n")
		return err
	}
	return u.columns("llLll", "FILE", "WHERE", "WEAKNESS", "MEANING", "FIX").addEmphasized(notable, f.File, f.Where(), f.Weakness, f.Message, f.Fix)
}
