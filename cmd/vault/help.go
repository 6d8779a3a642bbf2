package main

import (
	"context"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
)

func helpCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "describe a command, the rules for names, or the exit codes",
		UsageText: s.prog + " help [COMMAND|names|exit-codes]",
		Description: "Examples:\n" +
			"   " + s.prog + " help put\n" +
			"   " + s.prog + " help policy aws\n" +
			"   " + s.prog + " help names\n" +
			"   " + s.prog + " help exit-codes",
		Action: s.action(s.help),
	}
}

// helpTopics are the arguments of help that are no commands.
var helpTopics = []string{"names", "exit-codes"}

// namesHelp describes what FORMAT.md specifies in its section 3.
const namesHelp = `A name has 1 to 512 bytes of UTF-8, in segments with a slash between them, such as openrouter or
acme/openai. Upper and lower case are different. A name may contain blanks, and letters of any
script. It may not contain:

- an empty segment, as in a//b, /a or a/, or a segment that is . or ..
- control characters, line and paragraph separators, bidirectional controls and noncharacters
- text that is not in Unicode normalization form C

A new value cannot be stored under a name with invisible characters, such as the zero width space, or
with a blank at the start or end of a segment.

The key of the object is bots/TENANT/COLLECTION/NAME.enc. It has at most 850 bytes, and each segment
at most 255, with .enc. A-Z a-z 0-9 - _ . ~ @ = take one byte there. Any other byte of the name, and an
underscore after another one, takes three. So the last segment of a name has at most 251 ASCII letters,
or 83 bytes of other letters.

A tenant has 1 to 128 of a-z 0-9 . _ - and does not contain __0x; A-Z are read as a-z. A collection
has 1 to 63 of a-z 0-9 -, and a vault id 1 to 64 of a-z 0-9 . _ -. Each starts with a letter or digit.
`

func (s *session) help(context.Context) error {
	args, err := s.arguments(0, 2)
	switch {
	case err != nil:
		return err
	case len(args) == 0:
		return cli.ShowAppHelp(s.c)
	case len(args) == 1 && args[0] == "exit-codes":
		return printExitCodes(s.out)
	case len(args) == 1 && args[0] == "names":
		_, err = io.WriteString(s.out, namesHelp)
		return err
	}
	var c *cli.Command
	group, known := "", append(commandNames(s.c.App.Commands), helpTopics...)
	for list := s.c.App.Commands; len(args) > 0; args = args[1:] {
		if c = argv.FindCommand(list, args[0]); c == nil {
			e := usagef("unknown command %q", group+args[0])
			e.Hint = strings.TrimSpace("{prog} help " + group)
			if near := argv.Nearest(args[0], known, 1); len(near) > 0 {
				e.Hint = "did you mean {prog} help " + group + near[0] + "?"
			} else if len(known) > 0 {
				e.Hint += " lists the commands"
			}
			return e
		}
		group, list = group+c.Name+" ", c.Subcommands
		known = commandNames(list)
	}
	cli.HelpPrinter(s.out, cli.CommandHelpTemplate, c)
	return nil
}
