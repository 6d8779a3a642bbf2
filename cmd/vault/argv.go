package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// An invocation is a command line taken apart. The flag package stops at the first
// argument; here flags may stand anywhere before "--".
type invocation struct {
	command string   // empty: there was none
	sub     string   // of a group, the command in it; empty: it is no group, or none was named
	flags   []string // each one word: --name or --name=value
	args    []string
	before  int  // how many of args stood before "--"
	dashed  bool // there was a "--"
	help    bool // --help or -h was among the flags
	version bool // --version stood before a command
}

// canonical is the command line that the flag package understands.
func (inv invocation) canonical(program string) []string {
	words := []string{program}
	words = append(words, inv.path()...)
	words = append(words, inv.flags...)
	words = append(words, "--")
	return append(words, inv.args...)
}

// path is the command with the group that it is in; empty where there is none.
func (inv invocation) path() []string {
	switch {
	case inv.command == "":
		return nil
	case inv.sub == "":
		return []string{inv.command}
	}
	return []string{inv.command, inv.sub}
}

// takeApart splits a command line, without the name of the program. Flags before the
// command are the root's, and those but --version become the command's. A flag that
// takes a value takes the next word, whatever it looks like; "-" alone is an argument.
func takeApart(root []cli.Flag, commands []*cli.Command, words []string) (invocation, error) {
	var inv invocation
	flags := root
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case inv.dashed:
			inv.argument(word, commands, &flags)
			continue
		case word == "--":
			inv.dashed = true
			continue
		case !strings.HasPrefix(word, "-") || word == "-":
			inv.argument(word, commands, &flags)
			if !inv.dashed {
				inv.before = len(inv.args)
			}
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		f := findFlag(flags, name)
		switch {
		case f == nil:
			return inv, unknownFlag(inv.command, name, flags)
		case name == "help" || name == "h":
			inv.help = true
			continue
		case name == "version" && inv.command == "":
			inv.version = true
			continue
		case takesValue(f) && !hasValue:
			if i++; i == len(words) {
				return inv, usagef("flag %s needs a value", dashes(name))
			}
			value, hasValue = words[i], true
		}
		word = "--" + f.Names()[0]
		if hasValue {
			word += "=" + value
		}
		inv.flags = append(inv.flags, word)
	}
	return inv, nil
}

// argument takes a word that is no flag: the first one is the command, and after a
// group the next one is a command of it. Flags before that become the command's.
func (inv *invocation) argument(word string, commands []*cli.Command, flags *[]cli.Flag) {
	if inv.command != "" {
		group := findCommand(commands, inv.command)
		if group != nil && inv.sub == "" && len(inv.args) == 0 {
			if c := findCommand(group.Subcommands, word); c != nil {
				inv.sub, *flags = word, c.Flags
				return
			}
		}
		inv.args = append(inv.args, word)
		return
	}
	inv.command = word
	if c := findCommand(commands, word); c != nil {
		*flags = c.Flags
	}
}

// find is the command that inv names, or nil.
func (inv invocation) find(commands []*cli.Command) *cli.Command {
	c := findCommand(commands, inv.command)
	if c != nil && inv.sub != "" {
		c = findCommand(c.Subcommands, inv.sub)
	}
	return c
}

func findCommand(commands []*cli.Command, name string) *cli.Command {
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(name) })
	if i < 0 {
		return nil
	}
	return commands[i]
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// unknownFlag names the flag, except after put: what looks like a flag there may be a
// secret in the wrong place.
func unknownFlag(command, name string, flags []cli.Flag) error {
	var known []string
	for _, f := range flags {
		known = append(known, f.Names()...)
	}
	err := usagef("unknown flag %s", dashes(name))
	if command == "put" {
		err = usagef("unknown flag (not shown, it may be the secret)")
		err.hint = "a value never stands on the command line; an argument that starts with - goes after --"
	}
	if near := nearest(name, known, 1); len(near) > 0 {
		err.hint = "did you mean " + dashes(near[0]) + "?"
	}
	return err
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// isSet says whether a boolean flag is set on a command line that may be broken: how to
// report an error has to be known before the rest is understood.
func isSet(words []string, flag string) bool {
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
