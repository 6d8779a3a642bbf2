package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func undeleteCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "undelete",
		Usage:     "restore a removed name",
		UsageText: s.prog + " undelete NAME",
		Description: "Reads the newest value from the history and stores it again, with a new revision number.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " undelete openai",
		Action: s.action(s.undelete),
	}
}

func (s *session) undelete(ctx context.Context) error {
	args, err := s.arguments(1, 1)
	if err != nil {
		return err
	}
	name, err := s.newName(args[0])
	if err != nil {
		return err
	}
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	info, err := v.Undelete(ctx, name)
	switch {
	case errors.Is(err, vault.ErrExist):
		return hint(err, "to restore an older version, use {vault} history {name} and {vault} rollback")
	case errors.Is(err, vault.ErrNotFound):
		return hint(err, "check the name: the history contains no version of it")
	case err != nil:
		return v.explainKey(noHistory(err))
	}
	return s.stored(v, info)
}
