package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/cmd/vault/internal/config"
)

// The scripts contain no knowledge of the command line: they call the program for each completion.
var (
	//go:embed completion/vault.bash
	bashScript string
	//go:embed completion/vault.zsh
	zshScript string
	//go:embed completion/vault.fish
	fishScript string
)

func completionCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell",
		UsageText: s.prog + " completion bash|zsh|fish",
		Description: "Prints a shell script that completes commands, flags, names and profiles. To complete names, the\n" +
			"script lists the objects in the store. It needs no key.\n\n" +
			"Examples:\n" +
			"   eval \"$(" + s.prog + " completion bash)\"           # in ~/.bashrc\n" +
			"   eval \"$(" + s.prog + " completion zsh)\"            # in ~/.zshrc, after compinit\n" +
			"   " + s.prog + " completion zsh > DIR/_" + s.prog + "        # DIR in fpath, before compinit\n" +
			"   " + s.prog + " completion fish | source             # in ~/.config/fish/config.fish",
		Action: s.action(s.completion),
	}
}

func (s *session) completion(context.Context) error {
	args, err := s.arguments(1, 1)
	if err != nil {
		return err
	}
	script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[args[0]]
	if !ok {
		return usagef("the shell must be bash, zsh or fish")
	}
	// The name of a program may contain characters that the name of a shell function may not.
	plain := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '_'
	}, s.prog)
	script = strings.ReplaceAll(script, "@FUNCTION@", "_objectvault_"+plain)
	_, err = io.WriteString(s.out, strings.ReplaceAll(script, "@PROGRAM@", shellWord(s.prog)))
	return err
}

// completeVerb is the hidden command that the scripts call with the words up to the cursor. The
// last word is the one that the user is typing.
const completeVerb = "__complete"

// completeFiles is the output that makes the script complete names of files.
const completeFiles = ":files"

// complete prints the possible completions of the last word, one per line. It does not report
// errors, because the user is typing.
func complete(ctx context.Context, s *session, app *cli.App, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	typed, before := words[len(words)-1], words[:len(words)-1]
	s.json, s.quiet = false, true
	line, pending := unfinished(app, before)
	s.partialFlags = make(map[string][]string)
	for _, word := range line.Flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		s.partialFlags[name] = append(s.partialFlags[name], value)
	}
	flags := app.Flags
	c := line.Find(app.Commands)
	if c != nil {
		flags = c.Flags
	}
	switch flag, value, glued := strings.Cut(typed, "="); {
	case pending != nil:
		s.completeValue(ctx, pending.Names()[0], typed, "")
	case !line.Terminated && glued && strings.HasPrefix(flag, "--"):
		if f := argv.FindFlag(flags, flag[2:]); f != nil && argv.TakesValue(f) {
			s.completeValue(ctx, f.Names()[0], value, flag+"=")
		}
	case !line.Terminated && strings.HasPrefix(typed, "-"):
		for _, f := range flags {
			s.offer(typed, "--"+f.Names()[0])
		}
	case c == nil && line.Command == "":
		s.offer(typed, commandNames(app.Commands)...)
	case c != nil && len(c.Subcommands) > 0 && len(line.Args) == 0:
		s.offer(typed, commandNames(c.Subcommands)...)
	case c != nil:
		s.completeArgument(ctx, app, line, typed)
	}
	return nil
}

// unfinished parses the words before the cursor. If the last word is a flag without its value,
// unfinished also returns this flag.
func unfinished(app *cli.App, words []string) (argv.Line, cli.Flag) {
	line, err := argv.Parse(app.Flags, app.Commands, words)
	if err == nil || len(words) == 0 {
		return line, nil
	}
	rest, err := argv.Parse(app.Flags, app.Commands, words[:len(words)-1])
	if err != nil {
		return line, nil
	}
	flags := app.Flags
	if c := rest.Find(app.Commands); c != nil {
		flags = c.Flags
	}
	return rest, argv.FindFlag(flags, strings.TrimLeft(words[len(words)-1], "-"))
}

// offer prints the candidates that start with typed.
func (s *session) offer(typed string, candidates ...string) {
	for _, c := range candidates {
		if strings.HasPrefix(c, typed) && oneLine(c) == c {
			fmt.Fprintln(s.out, c)
		}
	}
}

func (s *session) completeValue(ctx context.Context, flag, typed, before string) {
	switch flag {
	case "output", "config", "import", "env-file", "delta":
		fmt.Fprintln(s.out, completeFiles)
	case "store":
		s.offer(before+typed, before+"file://", before+"mem://", before+"s3://", before+"cos://")
	case "keys":
		s.offer(before+typed, before+"local:")
	case "profile":
		for _, name := range s.profiles() {
			s.offer(before+typed, before+name)
		}
	case "env":
		if key, name, ok := strings.Cut(typed, "="); ok {
			for _, n := range s.completeNames(ctx, name) {
				s.offer(before+typed, before+key+"="+n)
			}
		}
	}
}

func (s *session) completeArgument(ctx context.Context, app *cli.App, line argv.Line, typed string) {
	switch n := len(line.Args); line.Command {
	case "get", "stat", "history", "rollback", "ls", "put", "rm", "audit":
		switch {
		case n == 0 || line.Command == "rm":
			s.offer(typed, s.completeNames(ctx, typed)...)
		case n == 1 && line.Command == "put":
			fmt.Fprintln(s.out, completeFiles)
		}
	case "completion":
		s.offer(typed, "bash", "zsh", "fish")
	case "policy":
		if line.Subcommand == "check" {
			fmt.Fprintln(s.out, completeFiles)
		}
	case "help":
		if n == 0 {
			s.offer(typed, append(commandNames(app.Commands), helpTopics...)...)
		} else if c := argv.FindCommand(app.Commands, line.Args[0]); c != nil && n == 1 {
			s.offer(typed, commandNames(c.Subcommands)...)
		}
	case "exec":
		if line.Terminated {
			fmt.Fprintln(s.out, completeFiles)
		}
	}
}

// completeNames returns the existing names that start with typed.
func (s *session) completeNames(ctx context.Context, typed string) []string {
	ctx, cancel, _ := s.limited(ctx)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, nearTime) // also for the token that names the tenant
	defer stop()
	v, err := s.open(ctx, noKeys)
	if err != nil {
		return nil
	}
	defer v.close()
	return someNames(ctx, v.Vault, typed)
}

func (s *session) profiles() []string {
	set, _ := s.settings()
	text, err := s.readFile(set.File)
	if err != nil {
		return nil
	}
	f, err := config.ParseFile(set.File, string(text))
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(f.Profiles))
}
