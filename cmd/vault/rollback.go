package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func rollbackCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "restore the value of an old version",
		UsageText: s.prog + " rollback NAME VERSION",
		Description: "Reads the old version and stores its value again, with a new revision number. Nothing is removed\n" +
			"from the history. VERSION is an id that history prints, @2 for the second newest version, or\n" +
			"r:REVISION. If the old version fails verification, nothing is stored.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " rollback openai @2",
		Action: s.action(s.rollback),
	}
}

func (s *session) rollback(ctx context.Context) error {
	args, err := s.arguments(2, 2)
	if err != nil {
		return err
	}
	name, err := s.newName(args[0])
	if err != nil {
		return err
	}
	if args[1] == "" {
		return usagef("the version is empty")
	}
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	info, err := v.Rollback(ctx, name, args[1])
	if errors.Is(err, vault.ErrNotFound) {
		return hint(err, "{vault} history {name} lists the existing versions")
	}
	if err != nil {
		return v.explainKey(noHistory(err))
	}
	return s.stored(v, info)
}
