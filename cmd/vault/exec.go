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
	"github.com/objectvault/objectvault/cmd/vault/internal/mask"
	"github.com/objectvault/objectvault/vault"
)

func execCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a program with secrets in its environment",
		UsageText: s.prog + " exec --env VAR=NAME… [--env-file FILE] -- COMMAND [ARG…]",
		Description: "Reads all secrets, then starts COMMAND with the secrets in its environment. If a secret is\n" +
			"missing, COMMAND does not start. exec exits with the exit code of COMMAND, with 127 if COMMAND\n" +
			"is not found, or with 126 if COMMAND cannot be executed. exec searches for COMMAND in the PATH\n" +
			"that COMMAND will get. If the environment of COMMAND has no PATH, exec searches in the PATH of\n" +
			s.prog + ". Variables that start with OBJECTVAULT_, and those of --keys env:VAR, are not passed to\n" +
			"COMMAND.\n\n" +
			"Editors and echo add a line break to the end of a secret. exec removes this line break, unless\n" +
			"the secret has several lines, such as a PEM key. --raw keeps every line break.\n\n" +
			"An --env-file has one variable per line: VAR=vault://NAME for a secret, or VAR=text. The text\n" +
			"extends to the end of the line. vault://NAME is a reference, and may be in quotes. Text that\n" +
			"looks like a reference, but is not a valid one, is an error. Empty lines and lines that start\n" +
			"with # are skipped. A line may start with \"export\". --env overrides the file.\n\n" +
			"--pristine passes only the variables that --env and --env-file set. --strict also resolves\n" +
			"references in the environment: if a variable has the value vault://NAME, COMMAND gets the\n" +
			"secret instead.\n\n" +
			"--mask replaces each secret of at least 8 bytes in the output of COMMAND with [NAME], also where it\n" +
			"is escaped in JSON or in a URL, but not in other encodings, such as base64. If the output is a\n" +
			"terminal, COMMAND gets a pseudo-terminal.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " exec --env OPENAI_API_KEY=openai -- ./agent --serve\n" +
			"   " + s.prog + " exec --env-file agent.env --pristine -- env",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "env", Usage: "`VAR=NAME` sets the variable VAR to the value of NAME; may be repeated"},
			&cli.StringSliceFlag{Name: "env-file", Usage: "read variables from `FILE`; may be repeated, later files override earlier ones"},
			&cli.BoolFlag{Name: "pristine", Usage: "pass only the variables that --env and --env-file set", DisableDefaultText: true},
			&cli.BoolFlag{Name: "mask", Usage: "replace the secrets in the output of COMMAND with [NAME]", DisableDefaultText: true},
			&cli.BoolFlag{Name: "raw", Usage: "keep the line break at the end of secrets", DisableDefaultText: true},
			&cli.BoolFlag{Name: "strict", Usage: "also resolve references in the environment", DisableDefaultText: true},
			acceptOlderFlag(), expectSeenFlag(),
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
			s.acceptOlder(ctx, v, vault.Name(name))
			value, err := fetchValue(ctx, s.ui, v.Vault, vault.Name(name))
			if err != nil {
				return v.explainKey(s.suggest(ctx, v.Vault, err))
			}
			if !s.c.Bool("raw") {
				value = trimLineBreak(value)
			}
			values[name] = value
		}
		// Close the vault now: on Unix, exec does not return.
		s.opened = nil
		if err := v.close(); err != nil {
			return err
		}
	}
	env := childEnv(s.environWithoutKeys(), s.c.Bool("pristine"), wanted, values)
	if err := ctx.Err(); err != nil {
		return err // the command was interrupted
	}
	run := s.world.exec
	if s.c.Bool("mask") {
		run = s.masked(ctx, values)
	}
	code, err := run(argv, env)
	switch {
	case errors.Is(err, errTooLarge):
		return hint(fmt.Errorf("cannot start the program: %w", err), "reduce the environment: write large values to a file with {vault} get NAME -o FILE, or use --pristine")
	case err != nil:
		return hint(fmt.Errorf("cannot start the program: %w", err), "check that the program is installed, executable and in PATH")
	}
	if code != exitOK {
		return childCode(code)
	}
	return nil
}

// wanted collects the variables to set. A later variable overrides an earlier one.
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
	var keys []string
	for _, text := range s.c.StringSlice("env") {
		v, err := envfile.ParseFlag(text, checkName)
		if err != nil {
			return nil, err
		}
		if slices.Contains(keys, v.Key) {
			return nil, usagef("--env sets %s twice", v.Key)
		}
		keys = append(keys, v.Key)
		all = append(all, v)
	}
	return all, nil
}

// checkName returns an error if name is not a valid name of a secret.
func checkName(name string) error {
	_, err := vault.ParseName(name)
	return err
}

// fetchValue reads a value, and returns an error if an environment variable cannot contain it.
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
		return "", about(name, usagef("the value contains a zero byte, but an environment variable cannot contain one"))
	}
	return string(value), nil
}

// trimLineBreak removes the line break at the end of value, if value has no other line break.
func trimLineBreak(value string) string {
	line, ok := strings.CutSuffix(value, "\n")
	if !ok || strings.Contains(line, "\n") {
		return value
	}
	return strings.TrimSuffix(line, "\r")
}

// The limits of exec. Linux limits a variable to 128 KiB.
const (
	maxValue   = 127 << 10 // leaves 1 KiB for the name of the variable
	maxEnvFile = 1 << 20
)

// environWithoutKeys returns the environment without the root keys of env: sources, which open every
// value.
func (s *session) environWithoutKeys() []string {
	environ := s.environ()
	set, err := s.settings()
	if err != nil {
		return environ // no key source was opened
	}
	for _, v := range set.Keys {
		if name, ok := strings.CutPrefix(v.Text, "env:"); ok {
			environ = slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
		}
	}
	return environ
}

// childEnv returns the environment of the program.
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
			delete(set, v.Key) // set each variable only once
		}
	}
	return env
}

// masked returns a function that runs a program below this process, and replaces the secrets in its
// output.
func (s *session) masked(ctx context.Context, values map[string]string) func(argv, env []string) (int, error) {
	var secrets []mask.Secret
	for name, value := range values {
		secrets = append(secrets, mask.Secret{Name: name, Value: []byte(value)}, mask.Secret{Name: name, Value: []byte(strings.TrimRight(value, "\r\n"))})
	}
	return func(argv, env []string) (int, error) {
		out, errs := mask.NewWriter(s.out, secrets), mask.NewWriter(s.err, secrets)
		code, err := s.runChild(ctx, child{argv: argv, env: env, out: out, err: errs, terminal: s.outTTY && s.inTTY})
		if cerr := errors.Join(out.Close(), errs.Close()); err == nil {
			err = cerr
		}
		return code, err
	}
}
