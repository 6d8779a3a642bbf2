package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/vault"
)

// A policyDialect is a cloud whose policies the command generates and checks.
type policyDialect struct {
	name, usage, synopsis, description string
	examples                           []string // {prog} stands for the program
	flags                              func() []cli.Flag
	required                           []string // names of flags
	forTenant                          string   // the form of --for

	// generate reads the flags and generates documents. The package of the dialect checks
	// the values of the flags.
	generate func(ctx context.Context, s *session, collection string, tenants []policy.Tenant) (policyDocuments, error)
	// delta prints the statements that are missing in the policy in a file. It may be nil.
	delta func(ctx context.Context, s *session, docs policyDocuments, file string) error

	weaknesses []policy.Weakness
	heading    string                 // of the list of weaknesses in the help
	values     []string               // the values of --dialect of policy check
	recognises func(data []byte) bool // nil: the dialect reads the files that no other dialect recognises
	newCheck   func(c *cli.Context) policyCheck
}

type policyDocuments interface {
	JSON() []byte
	Terraform() []byte
}

var policyDialects = []policyDialect{policyAWS, policyTencent}

func textFlag(name, usage string) cli.Flag { return &cli.StringFlag{Name: name, Usage: usage} }

func listFlag(name, usage string) cli.Flag { return &cli.StringSliceFlag{Name: name, Usage: usage} }

func boolFlag(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

func daysFlag(name, usage string) cli.Flag {
	return &cli.IntFlag{Name: name, Usage: usage, DefaultText: "never"}
}

func policyCommand(s *session) *cli.Command {
	var commands []*cli.Command
	for _, d := range policyDialects {
		commands = append(commands, &cli.Command{
			Name:        d.name,
			Usage:       d.usage,
			UsageText:   s.prog + " policy " + d.name + " " + d.synopsis + " [flags]",
			HelpName:    s.prog + " policy " + d.name,
			Description: d.description + "\n--collection limits each tenant to one collection.\n\n" + examples(s.prog, d.examples),
			Flags:       d.flags(),
			Action:      s.action(func(ctx context.Context) error { return s.policyPrint(ctx, d) }),
		})
	}
	commands = append(commands, policyCheckCommand(s))
	list := ""
	for _, c := range commands {
		list += fmt.Sprintf("   %-9s%s\n", c.Name, c.Usage)
	}
	return &cli.Command{
		Name:      "policy",
		Usage:     "print the policies that isolate tenants, or find weaknesses in policies",
		UsageText: s.prog + " policy aws|tencent|check",
		Description: "Prints the policies with which a cloud isolates tenants, or checks existing policies. It changes\n" +
			"nothing in the cloud, and needs no store, key or identity.\n\n" +
			"Commands (" + s.prog + " help policy COMMAND describes each):\n" + list + "\n" +
			examples(s.prog, []string{
				"{prog} policy aws --bucket vault --account 123456789012 --role vault --issuer https://broker.example > policy.json",
				"{prog} policy check policy.json",
			}),
		Subcommands: commands,
		Action:      s.action(s.policy),
	}
}

// examples returns the last part of a description.
func examples(prog string, lines []string) string {
	return "Examples:\n   " + strings.ReplaceAll(strings.Join(lines, "\n   "), "{prog}", prog)
}

// policy reports an error for "vault policy" without one of its commands.
func (s *session) policy(context.Context) error {
	args := s.c.Args().Slice()
	if len(args) == 0 {
		return usagef("the subcommand is missing: %s", s.c.Command.UsageText)
	}
	e := usagef("unknown command \"policy %s\"", args[0])
	if near := argv.Nearest(args[0], commandNames(s.c.Command.Subcommands), 1); len(near) > 0 {
		e.Hint = "did you mean {prog} policy " + near[0] + "?"
	}
	return e
}

// policyPrint generates the documents of a dialect and prints them.
func (s *session) policyPrint(ctx context.Context, d policyDialect) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	for _, flag := range d.required {
		if s.c.String(flag) == "" {
			return usagef("--%s is missing", flag)
		}
	}
	format, delta := s.c.String("format"), s.c.String("delta") // "" if the dialect has no such flag
	switch {
	case format != "" && format != "json" && format != "terraform":
		return usagef("--format must be json or terraform")
	case format == "terraform" && d.delta != nil && (s.json || delta != ""):
		return usagef("--format terraform cannot be used with --json or --delta")
	case format == "terraform" && s.json:
		return usagef("--format terraform cannot be used with --json")
	}
	collection, tenants, err := s.policyScope(d.forTenant)
	if err != nil {
		return err
	}
	docs, err := d.generate(ctx, s, collection, tenants)
	switch {
	case errors.Is(err, policy.ErrOptions):
		return usagef("%s", strings.TrimPrefix(err.Error(), policy.ErrOptions.Error()+": "))
	case err != nil:
		return err
	case delta != "":
		return d.delta(ctx, s, docs, delta)
	case format == "terraform":
		_, err = s.out.Write(docs.Terraform())
		return err
	case s.json:
		return s.print(docs)
	}
	_, err = s.out.Write(docs.JSON())
	return err
}

// policyScope reads --collection and --for.
func (s *session) policyScope(forTenant string) (collection string, tenants []policy.Tenant, err error) {
	// Read only the flag: the collection of a profile must not limit the policy.
	if c := s.c.String("collection"); c != "" {
		parsed, err := vault.ParseCollection(c)
		if err != nil {
			return "", nil, err
		}
		collection = string(parsed)
	}
	for _, text := range s.c.StringSlice("for") {
		id, subject, _ := strings.Cut(text, "=")
		if id == "" {
			return "", nil, usagef("--for must be %s", forTenant)
		}
		tenant, err := vault.ParseTenant(id)
		if err != nil {
			return "", nil, err
		}
		tenants = append(tenants, policy.Tenant{ID: string(tenant), Subject: subject})
	}
	return collection, tenants, nil
}

// policyData reads the file that flag names, or standard input if the name is "-". It reads one byte
// more than the maximum size of a policy, so that the parser rejects a longer file.
func (s *session) policyData(ctx context.Context, flag, file string) ([]byte, error) {
	f, err := s.input(ctx, file)
	if err != nil {
		return nil, cannotOpen(flag, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, policy.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return data, nil
}
