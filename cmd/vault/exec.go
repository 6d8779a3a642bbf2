package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/envfile"
	"github.com/objectvault/objectvault/vault"
)

func execCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a program with secrets in its environment",
		UsageText: s.prog + " exec --env VAR=NAME… [--env-file FILE] -- COMMAND [ARG…]",
		Description: "Reads all secrets, then starts COMMAND with the secrets in its environment. If a secret is\n" +
			"missing, the command does not start. The exit code is that of the command; 127 means that it\n" +
			"was not found, 126 that it cannot be executed. The command is looked up in the PATH of its own\n" +
			"environment or, if there is none, in the PATH of " + s.prog + ". Variables that start with\n" +
			"OBJECTVAULT_ are not passed to the command.\n\n" +
			"If the only line break of a secret is at its end, as editors and echo leave it, it is removed.\n" +
			"A secret of several lines, such as a PEM key, is not changed. --raw keeps every line break.\n\n" +
			"An --env-file has one variable per line: VAR=vault://NAME for a secret, or VAR=text. The text\n" +
			"extends to the end of the line. The reference may be in quotes; text that resembles a\n" +
			"reference but is none is an error. Empty lines and lines that start with # are skipped. A line\n" +
			"may start with \"export\". --env overrides the file.\n\n" +
			"--pristine passes only the variables that --env and --env-file name. --strict also resolves\n" +
			"references in the environment: if a variable has the value vault://NAME, the command gets the\n" +
			"secret instead.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " exec --env OPENAI_API_KEY=openai -- ./agent --serve\n" +
			"   " + s.prog + " exec --env-file agent.env --pristine -- env",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "env", Usage: "set the variable to the value of the name: `VAR=NAME`; may be repeated"},
			&cli.StringSliceFlag{Name: "env-file", Usage: "read variables from `FILE`; may be repeated, later files override earlier ones"},
			&cli.BoolFlag{Name: "pristine", Usage: "pass no other variables of the environment", DisableDefaultText: true},
			&cli.BoolFlag{Name: "raw", Usage: "keep the line break at the end of secrets", DisableDefaultText: true},
			&cli.BoolFlag{Name: "strict", Usage: "also resolve references in the environment", DisableDefaultText: true},
		},
		Action: s.action(s.exec),
	}
}

func (s *session) exec(ctx context.Context) error {
	argv := s.c.Args().Slice()
	if !s.line.Terminated || s.line.BeforeTerminator > 0 || len(argv) == 0 {
		return usagef("the command must follow --: %s", s.c.Command.UsageText)
	}
	wanted, err := s.wanted(ctx)
	if err != nil {
		return err
	}
	names := wanted.Names()
	values := make(map[string]string)
	if len(names) > 0 {
		v, err := s.open(ctx, mustKeys)
		if err != nil {
			return err
		}
		for _, name := range names {
			value, err := fetchValue(ctx, s.ui, v.Vault, vault.Name(name))
			if err != nil {
				return v.explainKey(s.suggest(ctx, v.Vault, err))
			}
			if !s.c.Bool("raw") {
				value = trimLineBreak(value)
			}
			values[name] = value
		}
		// What comes now may never return.
		s.opened = nil
		if err := v.close(); err != nil {
			return err
		}
	}
	env := childEnv(s.environ(), s.c.Bool("pristine"), wanted, values)
	if err := ctx.Err(); err != nil {
		return err // stopped meanwhile
	}
	code, err := s.world.exec(argv, env)
	switch {
	case errors.Is(err, errTooLarge):
		return hint(fmt.Errorf("cannot start the program: %w", err), "shrink the environment: write large values with {prog} get NAME -o FILE, or use --pristine")
	case err != nil:
		return hint(fmt.Errorf("cannot start the program: %w", err), "check that it is installed, in PATH and executable")
	}
	if code != exitOK {
		return childCode(code)
	}
	return nil
}

// wanted collects the variables that were asked for; later ones win.
func (s *session) wanted(ctx context.Context) (envfile.Variables, error) {
	var all envfile.Variables
	if s.c.Bool("strict") {
		for _, entry := range s.environ() {
			key, text, _ := strings.Cut(entry, "=")
			if envfile.IsReserved(key) {
				continue
			}
			name, ok, err := envfile.ParseReference(text)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", key, err)
			}
			if !ok {
				continue
			}
			if err := checkName(name); err != nil {
				return nil, fmt.Errorf("variable %s: %w", key, err)
			}
			all = append(all, envfile.Variable{Key: key, Name: name})
		}
	}
	for _, file := range s.c.StringSlice("env-file") {
		f, _, err := s.openFile(ctx, file)
		if err != nil {
			return nil, cannotOpen("--env-file", err)
		}
		text, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
		f.Close()
		if err != nil {
			return nil, err
		}
		if len(text) > maxEnvFile {
			return nil, usagef("%s: an environment file may have at most %s", file, size(maxEnvFile))
		}
		more, err := envfile.ParseFile(string(text), checkName)
		if err != nil {
			return nil, fmt.Errorf("%s, %w", file, err)
		}
		all = append(all, more...)
	}
	var asked []string
	for _, text := range s.c.StringSlice("env") {
		v, err := envfile.ParseFlag(text, checkName)
		if err != nil {
			return nil, err
		}
		if slices.Contains(asked, v.Key) {
			return nil, usagef("--env sets %s twice", v.Key)
		}
		asked = append(asked, v.Key)
		all = append(all, v)
	}
	return all, nil
}

// checkName returns an error if no secret can have the name.
func checkName(name string) error {
	_, err := vault.ParseName(name)
	return err
}

// fetchValue reads a value that fits into an environment.
func fetchValue(ctx context.Context, u *ui, v *vault.Vault, name vault.Name) (string, error) {
	r, err := v.Get(ctx, name, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	u.notePending(r.Info())
	value, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	switch {
	case err != nil:
		return "", err
	case len(value) > maxValue:
		return "", about(name, usagef("the value has %s, but an environment variable may have at most %s", size(max(r.Info().Size, maxValue+1)), size(maxValue)))
	case bytes.IndexByte(value, 0) >= 0:
		return "", about(name, usagef("the value contains a zero byte, which an environment variable cannot"))
	}
	return string(value), nil
}

// trimLineBreak returns value without the line break at its end, if it has no other one.
func trimLineBreak(value string) string {
	line, ok := strings.CutSuffix(value, "\n")
	if !ok || strings.Contains(line, "\n") {
		return value
	}
	return strings.TrimSuffix(line, "\r")
}

// What fits: Linux takes 128 KiB a variable.
const (
	maxValue   = 127 << 10 // which leaves a KiB for the name of the variable
	maxEnvFile = 1 << 20
)

// childEnv is the environment of the program.
func childEnv(parent []string, pristine bool, wanted envfile.Variables, values map[string]string) []string {
	env := []string{}
	set := make(map[string]string)
	for _, v := range wanted {
		set[v.Key] = v.Text
		if v.Name != "" {
			set[v.Key] = values[v.Name]
		}
	}
	for _, entry := range parent {
		key, _, _ := strings.Cut(entry, "=")
		if _, replaced := set[key]; !pristine && !replaced && !envfile.IsReserved(key) {
			env = append(env, entry)
		}
	}
	for _, v := range wanted {
		if text, ok := set[v.Key]; ok {
			env = append(env, v.Key+"="+text)
			delete(set, v.Key) // once, where it was asked for several times
		}
	}
	return env
}
