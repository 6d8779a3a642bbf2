package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/vault/seen"
)

func seenCommand(s *session) *cli.Command {
	sub := func(name, usage, synopsis, description string, action func(context.Context, *seen.Log) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, UsageText: s.prog + " seen " + synopsis, HelpName: s.prog + " seen " + name,
			Description: description,
			Action: s.action(func(ctx context.Context) error {
				log, err := s.ownSeenLog()
				if err != nil {
					return err
				}
				return action(ctx, log)
			}),
		}
	}
	return &cli.Command{
		Name:      "seen",
		Usage:     "carry what this machine has seen of a store to another machine",
		UsageText: s.prog + " seen export|import",
		Description: "For a store in a cloud, this machine remembers the newest revision of each name that it has put or\n" +
			"read. If the store later returns an older object, get, stat, exec and ls --long exit with 15 and do\n" +
			"not show it. Either an old object was served, or a writer has a slow clock. After a look,\n" +
			"--accept-older accepts the object. If the store does not have the name any more, the error shows the\n" +
			"revision that was seen last, and the exit code is 10, or 15 with --expect-seen. rm and teardown\n" +
			"record that a name is gone.\n\n" +
			"The files contain hashes instead of names. OBJECTVAULT_SEEN, or seen = in a profile, sets another\n" +
			"directory, or off.\n\n" +
			"Commands (" + s.prog + " help seen COMMAND describes each):\n" +
			"   export  print what was seen of the store\n" +
			"   import  add what another machine has seen\n\n" +
			"Examples:\n" +
			"   " + s.prog + " seen export > seen.jsonl\n" +
			"   " + s.prog + " seen import seen.jsonl",
		Subcommands: []*cli.Command{
			sub("export", "print what was seen of the store", "export", "Prints one line of JSON for each name that this machine has seen in the store, of all tenants and\n"+
				"collections. The lines contain hashes instead of names, and no values.\n\n"+
				"Examples:\n   "+s.prog+" seen export > seen.jsonl\n   "+s.prog+" seen export | ssh agent-2 "+s.prog+" seen import", s.seenExport),
			sub("import", "add what another machine has seen", "import [FILE|-]", "Reads the output of "+s.prog+" seen export from FILE or from standard input. Of the two states of a name,\n"+
				"the newer one is remembered. The --store must be the one of the export.\n\n"+
				"Examples:\n   "+s.prog+" seen import seen.jsonl\n   "+s.prog+" seen import < seen.jsonl", s.seenImport),
		},
		Action: s.action(func(context.Context) error {
			if s.c.NArg() > 0 {
				return usagef("unknown command: %s", s.c.Command.UsageText)
			}
			return usagef("too few arguments: %s", s.c.Command.UsageText)
		}),
	}
}

func (s *session) seenExport(ctx context.Context, log *seen.Log) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	n, err := log.Export(ctx, s.out)
	if err == nil {
		s.note("exported %s", plural(n, "name", "names"))
	}
	return err
}

func (s *session) seenImport(ctx context.Context, log *seen.Log) error {
	args, err := s.arguments(0, 1)
	if err != nil {
		return err
	}
	file := "-"
	if len(args) == 1 {
		file = args[0]
	}
	if file == "-" && s.inTTY {
		e := usagef("standard input is a terminal")
		e.Hint = "use {prog} seen import FILE, or a pipe"
		return e
	}
	in, err := s.input(ctx, file)
	if err != nil {
		return cannotOpen("seen import", err)
	}
	defer in.Close()
	n, err := log.Import(ctx, in)
	switch {
	case errors.Is(err, seen.ErrImport):
		return hint(tagged{err, usage.ErrUsage}, "use the output of {prog} seen export, with the same --store")
	case err != nil:
		return err
	}
	if s.json {
		return s.print(struct {
			Changed int `json:"changed"`
		}{n})
	}
	s.note("%s changed", plural(n, "name", "names"))
	return nil
}
