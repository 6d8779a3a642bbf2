package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func rmCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove names",
		UsageText: s.prog + " rm NAME…",
		Description: "Removes each NAME. If the store keeps a history, undelete restores the name. If rm cannot\n" +
			"remove some of several names, it removes the others and exits with code 3. rm needs no key. With\n" +
			"a signer as key source, it also removes what agentKeys stored under the name.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " rm openai\n" +
			"   " + s.prog + " rm --json old/a old/b",
		Action: s.action(s.rm),
	}
}

func (s *session) rm(ctx context.Context) error {
	args, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	var names []vault.Name
	for _, arg := range args {
		name, err := vault.ParseName(arg)
		if err != nil {
			return err // check all names before removing the first
		}
		names = append(names, name)
	}
	v, err := s.open(ctx, noKeys)
	if err != nil {
		return err
	}
	return s.remove(ctx, v, names)
}

func (s *session) remove(ctx context.Context, v *opened, names []vault.Name) error {
	type line struct {
		Name    vault.Name `json:"name"`
		Deleted bool       `json:"deleted"`
		Error   *report    `json:"error,omitempty"`
	}
	failed := 0
	for _, name := range names {
		err := s.suggest(ctx, v.Vault, v.Delete(ctx, name, nil))
		if err != nil && (len(names) == 1 || ctx.Err() != nil) {
			return err
		}
		l := line{Name: name, Deleted: err == nil}
		if err != nil {
			failed++
			r := s.filled(explain("rm", err))
			if l.Error = &r; !s.json {
				s.printError(r)
			}
		}
		if s.json {
			if err := s.print(l); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %s not removed", errPartial, plural(failed, fmt.Sprintf("of %d names was", len(names)), fmt.Sprintf("of %d names were", len(names))))
	}
	return nil
}
