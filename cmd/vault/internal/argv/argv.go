// Package argv parses the command line of vault: its words, and the values of flags with a special
// syntax. It also suggests a known word for a mistyped word.
//
// Its errors are [usage.Error].
package argv

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

// A Line is a parsed command line. The flag package stops at the first argument; in a
// Line flags may stand anywhere before the terminator "--".
type Line struct {
	Command          string   // empty: the line names no command
	Subcommand       string   // the command of the group Command; empty: Command is no group, or none of its commands is named
	Flags            []string // one word each: --name or --name=value
	Args             []string
	BeforeTerminator int  // the number of Args before "--"
	Terminated       bool // the line has a "--"
	Help             bool // --help or -h was among the flags
	Version          bool // --version stood before the command
}

// Canonical returns the command line in the form that the flag package understands.
func (l Line) Canonical(program string) []string {
	words := []string{program}
	words = append(words, l.Path()...)
	words = append(words, l.Flags...)
	words = append(words, "--")
	return append(words, l.Args...)
}

// Path returns the names of the group and of the command in it, or of the command alone.
// It is empty if the line names no command.
func (l Line) Path() []string {
	switch {
	case l.Command == "":
		return nil
	case l.Subcommand == "":
		return []string{l.Command}
	}
	return []string{l.Command, l.Subcommand}
}

// Find returns the command that the line names, or nil if commands has no such command.
func (l Line) Find(commands []*cli.Command) *cli.Command {
	c := FindCommand(commands, l.Command)
	if c != nil && l.Subcommand != "" {
		c = FindCommand(c.Subcommands, l.Subcommand)
	}
	return c
}

// Parse parses a command line, without the name of the program. Flags before the command are flags
// of root; all except --version become flags of the command. If a flag needs a value, the next word
// is its value, even if the word starts with "-". The word "-" is an argument. If Parse returns an
// error, it also returns the part of the line that it parsed.
func Parse(root []cli.Flag, commands []*cli.Command, words []string) (l Line, err error) {
	var early []cli.Flag // the flags before the command
	defer func() {
		if err == nil {
			err = l.misplaced(early, commands)
		}
	}()
	flags := root
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case l.Terminated:
			l.addWord(word, commands, &flags)
			continue
		case word == "--":
			l.Terminated = true
			continue
		case !strings.HasPrefix(word, "-") || word == "-":
			l.addWord(word, commands, &flags)
			l.BeforeTerminator = len(l.Args)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		f := FindFlag(flags, name)
		switch {
		case f == nil:
			return l, unknownFlag(l.Command, name, flags)
		case name == "help" || name == "h":
			l.Help = true
			continue
		case name == "version" && l.Command == "":
			l.Version = true
			continue
		case TakesValue(f) && !hasValue:
			if i++; i == len(words) {
				return l, usage.Errorf("flag %s needs a value", dashes(name))
			}
			value, hasValue = words[i], true
		}
		if l.Command == "" {
			early = append(early, f)
		}
		word = "--" + f.Names()[0]
		if hasValue {
			word += "=" + value
		}
		l.Flags = append(l.Flags, word)
	}
	return l, nil
}

// misplaced returns an error if a boolean flag stands before a command that has a flag of the same name
// with a value. The flag would take the next word as its value.
func (l Line) misplaced(early []cli.Flag, commands []*cli.Command) error {
	c := l.Find(commands)
	if c == nil {
		return nil
	}
	for _, f := range early {
		name := f.Names()[0]
		if own := FindFlag(c.Flags, name); own != nil && TakesValue(own) && !TakesValue(f) {
			err := usage.Errorf("%s before %s has another meaning than after it", dashes(name), l.Command)
			err.Hint = "write " + dashes(name) + " with its value after " + l.Command
			return err
		}
	}
	return nil
}

// addWord adds a word that is not a flag. The first word is the command, and the word after a group
// is a command of the group. addWord sets flags to the flags of the command.
func (l *Line) addWord(word string, commands []*cli.Command, flags *[]cli.Flag) {
	if l.Command != "" {
		group := FindCommand(commands, l.Command)
		if group != nil && l.Subcommand == "" && len(l.Args) == 0 {
			if c := FindCommand(group.Subcommands, word); c != nil {
				l.Subcommand, *flags = word, c.Flags
				return
			}
		}
		l.Args = append(l.Args, word)
		return
	}
	l.Command = word
	if c := FindCommand(commands, word); c != nil {
		*flags = c.Flags
	}
}

// FindCommand returns the command with the given name or alias, or nil.
func FindCommand(commands []*cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return commands[i]
}

// FindFlag returns the flag with the given name or alias, or nil.
func FindFlag(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

// TakesValue reports whether f needs a value. A boolean flag does not.
func TakesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// unknownFlag returns an error that names the flag. After put it does not name it, because a word
// that looks like a flag may be a secret in the wrong place.
func unknownFlag(command, name string, flags []cli.Flag) error {
	var known []string
	for _, f := range flags {
		known = append(known, f.Names()...)
	}
	err := usage.Errorf("unknown flag %s", dashes(name))
	if command == "put" {
		err = usage.Errorf("unknown flag (not shown, because it may be the secret)")
		err.Hint = "pass the value through standard input; if an argument starts with -, write -- before it"
	}
	if near := Nearest(name, known, 1); len(near) > 0 {
		err.Hint = "did you mean " + dashes(near[0]) + "?"
	}
	return err
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// IsSet reports whether words set a boolean flag. It also works for an invalid command line,
// because the flag decides the form of the error message.
func IsSet(words []string, flag string) bool {
	set := false
	for _, word := range words {
		if word == "--" {
			break
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if strings.HasPrefix(word, "-") && name == flag {
			set = true
			if b, err := strconv.ParseBool(value); hasValue && err == nil {
				set = b
			}
		}
	}
	return set
}
