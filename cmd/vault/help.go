package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
)

func helpCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "describe a command, or list the exit codes",
		UsageText: s.prog + " help [COMMAND|exit-codes]",
		Description: "Examples:\n" +
			"   " + s.prog + " help put\n" +
			"   " + s.prog + " help policy aws\n" +
			"   " + s.prog + " help exit-codes",
		Action: s.action(s.help),
	}
}

func (s *session) help(context.Context) error {
	args, err := s.arguments(0, 2)
	switch {
	case err != nil:
		return err
	case len(args) == 0:
		return cli.ShowAppHelp(s.c)
	case len(args) == 1 && args[0] == "exit-codes":
		return printExitCodes(s.out)
	}
	var c *cli.Command
	group, known := "", append(commandNames(s.c.App.Commands), "exit-codes")
	for list := s.c.App.Commands; len(args) > 0; args = args[1:] {
		if c = argv.FindCommand(list, args[0]); c == nil {
			e := usagef("unknown command %q", group+args[0])
			if near := argv.Nearest(args[0], known, 1); len(near) > 0 {
				e.Hint = "did you mean {prog} help " + group + near[0] + "?"
			}
			return e
		}
		group, list = group+c.Name+" ", c.Subcommands
		known = commandNames(list)
	}
	cli.HelpPrinter(s.out, cli.CommandHelpTemplate, c)
	return nil
}
