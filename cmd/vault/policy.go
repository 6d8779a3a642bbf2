package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

func policyCommand(s *session) *cli.Command {
	commands := []*cli.Command{policyAWSCommand(s), policyTencentCommand(s), policyCheckCommand(s)}
	list := ""
	for _, c := range commands {
		list += fmt.Sprintf("   %-9s%s\n", c.Name, c.Usage)
	}
	return &cli.Command{
		Name:      "policy",
		Usage:     "print what an operator applies at a cloud, or look for holes in it",
		UsageText: s.prog + " policy aws|tencent|check",
		Description: "The cloud keeps tenants apart by policies. They are printed here, and never applied.\n" +
			"No store, key or identity is needed.\n\n" +
			"Commands, which " + s.prog + " help policy COMMAND explains:\n" + list + "\n" +
			"Examples:\n" +
			"   " + s.prog + " policy aws --bucket vault --account 123456789012 --role vault --issuer https://broker.example > policy.json\n" +
			"   " + s.prog + " policy check policy.json",
		Subcommands: commands,
		Action:      s.action(s.policy),
	}
}

// policy is what was asked where no command of the group was named.
func (s *session) policy(context.Context) error {
	args := s.c.Args().Slice()
	if len(args) == 0 {
		return usagef("which one? %s", s.c.Command.UsageText)
	}
	e := usagef("unknown command \"policy %s\"", args[0])
	if near := nearest(args[0], commandNames(s.c.Command.Subcommands), 1); len(near) > 0 {
		e.hint = "did you mean {prog} policy " + near[0] + "?"
	}
	return e
}
