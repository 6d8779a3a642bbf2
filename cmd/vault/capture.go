package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/pick"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

func captureCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "capture",
		Usage:     "run a program that creates a secret, and store the secret",
		UsageText: s.prog + " capture NAME [--regex R|--json PATH|--line N] -- COMMAND [ARG…]",
		Description: "Runs COMMAND, takes the secret from its standard output, and stores it under NAME before anything\n" +
			"of the output is shown. Then it shows the output with [NAME] in place of the secret. Without\n" +
			"--regex, --json or --line the secret is the whole output without the line break at its end.\n\n" +
			"COMMAND does not start unless the name, the settings and the pattern are valid and the value can be\n" +
			"saved on this machine. If COMMAND fails, capture exits with the exit code of COMMAND, and a\n" +
			"message reports whether the secret was stored. Otherwise capture exits with the same codes as put.\n\n" +
			"If the output has no match, or several different ones, capture exits with 1 and saves the output,\n" +
			"sealed, on this machine: " + s.prog + " spool ls lists it, and " + s.prog + " spool get writes it.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " capture openrouter --json data.key -- ./mint-key --name agent-7\n" +
			"   " + s.prog + " capture github --regex 'token: (\\S+)' --create -- gh-app token",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "regex", Usage: "the secret is the text that the regular expression `R` matches; if R has a group, only the text of the group"},
			&cli.StringFlag{Name: "json", Usage: "the secret is at `PATH` in JSON output, such as data.keys[0].value"},
			&cli.StringFlag{Name: "line", Usage: "the secret is line `N`; -1 is the last line"},
			&cli.BoolFlag{Name: "stderr", Usage: "take the secret from standard error", DisableDefaultText: true},
			&cli.BoolFlag{Name: "create", Usage: "fail if the name exists", DisableDefaultText: true},
			&cli.BoolFlag{Name: "first", Usage: "take the first of several matches", DisableDefaultText: true},
			&cli.BoolFlag{Name: "last", Usage: "take the last of several matches", DisableDefaultText: true},
		},
		Action: s.action(s.capture),
	}
}

// errNotCaptured means that the secret was not found in the output of a program.
var errNotCaptured = errors.New("no secret was captured")

func (s *session) capture(ctx context.Context) error {
	args := s.c.Args().Slice()
	if !s.line.Terminated || s.line.BeforeTerminator != 1 || len(args) < 2 {
		return usagef("write NAME, then --, then the command: %s", s.c.Command.UsageText)
	}
	name, err := s.newName(args[0])
	if err != nil {
		return err
	}
	pattern, err := s.pattern()
	if err != nil {
		return err
	}
	if s.c.Bool("first") && s.c.Bool("last") {
		return usagef("--first and --last exclude each other")
	}
	s.createsStore, s.flushesLater, s.spoolAlways, s.spoolLimit = true, true, true, math.MaxInt64
	p := &putting{session: s, name: name, options: &vault.PutOptions{Create: s.c.Bool("create")}}
	v, err := p.open(ctx)
	if err != nil {
		return err
	}
	sp := p.spool
	if v != nil {
		sp = v.spool
	}
	if sp == nil {
		return hint(fmt.Errorf("the output cannot be saved on this machine"), "set HOME, or --spool DIR")
	}
	if err := sp.Check(ctx); err != nil {
		return hint(fmt.Errorf("the output cannot be saved on this machine: %w", err), "free some space, or set --spool to a directory that can be written")
	}

	run := &capture{session: s, p: p, opened: v, argv: args[1:]}
	output := &recording{spool: sp, ref: run.ref()}
	c := child{argv: run.argv, env: childEnv(s.environ(), false, nil, nil), out: output}
	if s.c.Bool("stderr") {
		c.out, c.err = nil, output
	}
	code, err := s.runChild(ctx, c)
	if err != nil && output.total > 0 {
		return errors.Join(err, run.keep(output, "the program did not end properly"))
	}
	if err != nil {
		return hint(fmt.Errorf("cannot start the program: %w", err), "check that it is installed, in PATH and executable")
	}
	err = run.store(ctx, pattern, output)
	switch {
	case code != exitOK && err != nil:
		s.fail("capture", err)
		return childCode(code)
	case code != exitOK:
		s.note("the program failed with exit code %d; its secret was stored", code)
		return childCode(code)
	}
	return err
}

func (s *session) pattern() (pick.Pattern, error) {
	set := 0
	for _, name := range []string{"regex", "json", "line"} {
		if s.c.IsSet(name) {
			set++
		}
	}
	switch {
	case set > 1:
		return pick.Pattern{}, usagef("--regex, --json and --line exclude one another")
	case s.c.IsSet("regex"):
		return pick.ParseRegex(s.c.String("regex"))
	case s.c.IsSet("json"):
		return pick.ParsePath(s.c.String("json"))
	case s.c.IsSet("line"):
		return pick.ParseLine(s.c.String("line"))
	}
	return pick.Whole(), nil
}

// A capture is one run of a program whose output contains a secret.
type capture struct {
	*session
	p      *putting
	opened *opened // nil: only a request can tell the tenant
	argv   []string
}

// ref returns the full name of the output of the program.
func (c *capture) ref() envelope.Ref {
	if c.opened == nil {
		return envelope.Ref{Collection: string(vault.DefaultCollection), Name: string(c.p.name)}
	}
	return envelope.Ref{Vault: c.opened.VaultID(), Tenant: string(c.opened.Tenant()), Collection: string(c.opened.Collection()), Name: string(c.p.name)}
}

// captureTime is the time to store a secret after the command was interrupted.
const captureTime = 10 * time.Second

// store stores the secret in the output, and then shows the output. If it finds none, it saves the
// output.
func (c *capture) store(ctx context.Context, pattern pick.Pattern, output *recording) error {
	interrupted := ctx.Err()
	if interrupted != nil { // the program had the signal; what it printed is kept all the same
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), captureTime)
		defer cancel()
	}
	matches, err := pattern.Find(output.bytes())
	all := matches
	switch {
	case err != nil:
		return c.keep(output, err.Error())
	case len(matches) > 1 && c.c.Bool("first"):
		matches = matches[:1]
	case len(matches) > 1 && c.c.Bool("last"):
		matches = matches[len(matches)-1:]
	case len(matches) > 1:
		return hint(c.keep(output, fmt.Sprintf("the output has %d different matches", len(matches))), "use --first or --last, or a narrower pattern")
	case output.cut > 0:
		c.note("the output had %s; %s in the middle were not searched", size(output.total), size(output.cut))
	}
	secret := matches[0]
	if c.opened == nil {
		err = c.p.withoutTenant(ctx, bytes.NewReader(secret), int64(len(secret)))
	} else {
		err = c.p.put(ctx, c.opened, bytes.NewReader(secret), int64(len(secret)))
	}
	var spooled *vault.SpooledError
	if err != nil && !errors.As(err, &spooled) { // the output is the only copy
		c.fail("capture", c.keep(output, "the secret could not be stored"))
		return err
	}
	output.discard()
	shown := io.Writer(c.out)
	if c.c.Bool("stderr") {
		shown = c.err
	}
	if !c.json {
		masked := output.bytes()
		for _, m := range all {
			masked = pick.Mask(masked, m, string(c.p.name))
		}
		if _, werr := shown.Write(masked); werr != nil && err == nil {
			err = werr
		}
	}
	if err == nil && interrupted != nil {
		return fmt.Errorf("%w; the secret was stored", interrupted)
	}
	return err
}

// keep saves the whole output on this machine, where it is not sent, and returns an error with reason.
func (c *capture) keep(output *recording, reason string) error {
	if output.total == 0 {
		return fmt.Errorf("%w: the program printed nothing", errNotCaptured)
	}
	id, err := output.save("output of a program: " + reason)
	if err != nil {
		return fmt.Errorf("%w: %s; the output cannot be saved on this machine either: %w", errNotCaptured, reason, err)
	}
	text := fmt.Sprintf("%s; the output is saved on this machine", reason)
	if output.cut > 0 {
		text += fmt.Sprintf("; %s in its middle were not saved", size(output.cut))
	}
	return hint(about(c.p.name, &notCaptured{text}), "{prog} spool get %s -o FILE writes the output", spool.ShortID(id))
}

// A notCaptured error says why the output has no secret.
type notCaptured struct{ text string }

func (e *notCaptured) Error() string { return e.text }
func (e *notCaptured) Unwrap() error { return errNotCaptured }
