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
		Usage:     "copy the recorded revisions of a store to another machine",
		UsageText: s.prog + " seen export|import",
		Description: "For a store in a cloud, this machine remembers the newest revision of each name that it has put or\n" +
			"read. If the store later returns an older object, no command shows it: get, stat and exec exit with\n" +
			"15, and ls --long exits with 3. Either the object is old, or the clock of its writer is slow:\n" +
			"revisions are taken from the clock. When you know the cause, --accept-older accepts the object.\n\n" +
			"If the store does not have the name any more, the error shows the last revision that this machine\n" +
			"has seen, and the exit code is 10, or 15 with --expect-seen. rm and teardown record that a name was\n" +
			"removed.\n\n" +
			"The revisions are kept in files, which contain hashes instead of names. The variable\n" +
			"OBJECTVAULT_SEEN, or the key \"seen\" of a profile, sets the directory of these files. Set it to\n" +
			"\"off\" to disable the files and the check.\n\n" +
			"Commands (" + s.prog + " help seen COMMAND describes each):\n" +
			"   export  print the revisions that this machine has seen\n" +
			"   import  add the revisions that another machine has seen\n\n" +
			"Examples:\n" +
			"   " + s.prog + " seen export > seen.jsonl\n" +
			"   " + s.prog + " seen import seen.jsonl",
		Subcommands: []*cli.Command{
			sub("export", "print the revisions that this machine has seen", "export", "Prints one line of JSON for each name that this machine has seen in the store, of all tenants and\n"+
				"collections. The lines contain hashes instead of names, and no values.\n\n"+
				"Examples:\n   "+s.prog+" seen export > seen.jsonl\n   "+s.prog+" seen export | ssh agent-2 "+s.prog+" seen import", s.seenExport),
			sub("import", "add the revisions that another machine has seen", "import [FILE|-]", "Reads the output of "+s.prog+" seen export from FILE or from standard input. If both\n"+
				"machines have seen a name, the newer revision is kept. --store must be the same as for the export.\n\n"+
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
		e.Hint = "use {vault} seen import FILE, or a pipe"
		return e
	}
	in, err := s.input(ctx, file)
	if err != nil {
		return cannotOpen("FILE", err)
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
