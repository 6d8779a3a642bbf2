package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

func helpCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "explain a command, or the exit codes",
		UsageText: s.prog + " help [COMMAND|exit-codes]",
		Description: "Examples:\n" +
			"   " + s.prog + " help put\n" +
			"   " + s.prog + " help exit-codes",
		Action: s.action(s.help),
	}
}

func (s *session) help(context.Context) error {
	args, err := s.arguments(0, 1)
	switch {
	case err != nil:
		return err
	case len(args) == 0:
		return cli.ShowAppHelp(s.c)
	case args[0] == "exit-codes":
		return printExitCodes(s.out)
	case findCommand(s.c.App.Commands, args[0]) == nil:
		e := usagef("there is no command %q", args[0])
		if near := nearest(args[0], append(commandNames(s.c.App.Commands), "exit-codes"), 1); len(near) > 0 {
			e.hint = "did you mean {prog} help " + near[0] + "?"
		}
		return e
	}
	cli.HelpPrinter(s.out, cli.CommandHelpTemplate, findCommand(s.c.App.Commands, args[0]))
	return nil
}
