package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/mask"
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
			"of the output is shown. Then it shows standard output and standard error with [NAME] in place of\n" +
			"the secret. The output of COMMAND is shown only after COMMAND has ended. If COMMAND asks a question\n" +
			"on its output, you do not see the question. Without --regex, --json or --line the secret is the\n" +
			"whole output without the line break at its end. White space is no secret. --json stands after\n" +
			"capture and names a path; capture has no JSON output.\n\n" +
			"COMMAND does not start unless the name, the settings and the pattern are valid and the value can be\n" +
			"saved on this machine. If COMMAND fails, capture exits with the exit code of COMMAND, and a\n" +
			"message reports whether the secret was stored. Otherwise capture exits with the same codes as put.\n\n" +
			"Variables that start with OBJECTVAULT_, and those of --keys env:VAR, are not passed to COMMAND. If\n" +
			"COMMAND calls " + s.prog + ", give it --store, --tenant and the other flags, or a profile: without them it\n" +
			"uses the default store.\n\n" +
			"If the output has no match, or several different ones, capture exits with 1 and saves the output,\n" +
			"sealed, on this machine: " + s.prog + " spool ls lists it, and " + s.prog + " spool get writes it. If there is\n" +
			"no match although COMMAND succeeded, standard error is saved in the same way and not shown, because\n" +
			"it may contain the secret. These outputs are sealed for the key of the spool: see " + s.prog + " help\n" +
			"spool.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " capture openrouter --json data.key -- ./mint-key --name agent-7\n" +
			"   " + s.prog + " capture github --regex 'token: (\\S+)' --create -- gh-app token",
		Flags:  append(secretFlags(), boolFlag("create", "fail if the name exists")),
		Action: s.action(s.capture),
	}
}

// secretFlags returns the flags that describe where the secret is in the output of a program.
func secretFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "regex", Usage: "the secret is the text that the regular expression `R` matches; if R has a group, only the text of the group"},
		&cli.StringFlag{Name: "json", Usage: "the secret is at `PATH` in JSON output, such as data.keys[0].value"},
		&cli.StringFlag{Name: "line", Usage: "the secret is line `N`; -1 is the last line"},
		boolFlag("stderr", "take the secret from standard error"),
		boolFlag("first", "take the first of several matches"),
		boolFlag("last", "take the last of several matches"),
	}
}

// errNotCaptured means that the secret was not found in the output of a program.
var errNotCaptured = errors.New("no secret was captured")

func (s *session) capture(ctx context.Context) error {
	name, argv, pattern, err := s.captureArguments()
	if err != nil {
		return err
	}
	s.createsStore, s.flushesLater, s.spoolAlways, s.spoolLimit = true, true, true, math.MaxInt64
	p := &putting{session: s, name: name, options: &vault.PutOptions{Create: s.c.Bool("create")}}
	v, err := p.open(ctx)
	if err != nil {
		return err
	}
	run, err := s.newCapture(ctx, p, v, argv)
	if err != nil {
		return err
	}
	code, err := run.program(ctx)
	if err != nil {
		return err
	}
	err = run.store(ctx, pattern)
	if id := refusedID(err); id != "" {
		err = run.refused(err, id)
	}
	switch {
	case code != exitOK && err != nil:
		s.fail("capture", err)
		return childCode(code)
	case code != exitOK:
		s.note("the program failed with exit code %d; its secret was stored", code)
		return childCode(code)
	}
	return cmp.Or(err, run.unseen)
}

// captureArguments parses the arguments NAME -- COMMAND [ARG…], and the flags that describe where the
// secret is.
func (s *session) captureArguments() (name vault.Name, argv []string, pattern pick.Pattern, err error) {
	args := s.c.Args().Slice()
	if !s.line.Terminated || s.line.BeforeTerminator != 1 || len(args) < 2 {
		return "", nil, pattern, usagef("write NAME, then --, then the command: %s", s.c.Command.UsageText)
	}
	if name, err = s.newName(args[0]); err != nil {
		return "", nil, pattern, err
	}
	if pattern, err = s.pattern(); err != nil {
		return "", nil, pattern, err
	}
	if s.c.Bool("first") && s.c.Bool("last") {
		return "", nil, pattern, usagef("--first and --last exclude each other")
	}
	return name, args[1:], pattern, nil
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
	spool  *spool.Spool
	output *recording                  // the stream with the secret
	other  *recording                  // what the program wrote to the other stream
	failed bool                        // the program failed
	code   int                         // its exit code
	check  func(context.Context) error // nil, or returns an error if the secret must not be stored
	hide   []pick.Match                // other secrets that are not shown
	secret []byte                      // nil until it was found
	stored bool                        // the store has the secret
	unseen error                       // why an output was not shown after the secret was stored
}

// newCapture returns an error unless the output can be saved on this machine.
func (s *session) newCapture(ctx context.Context, p *putting, v *opened, argv []string) (*capture, error) {
	c := &capture{session: s, p: p, opened: v, argv: argv, spool: p.spool}
	if v != nil {
		c.spool = v.spool
	}
	if c.spool == nil {
		return nil, hint(fmt.Errorf("the output cannot be saved on this machine"), "set HOME, or --spool DIR")
	}
	if err := c.spool.Check(ctx); err != nil {
		return nil, hint(fmt.Errorf("the output cannot be saved on this machine: %w", err), "free some space, or set --spool to a directory that can be written")
	}
	c.output = &recording{spool: c.spool, ref: c.ref()}
	c.other = &recording{spool: c.spool, ref: c.ref(), memory: true}
	return c, nil
}

// program runs the program and returns its exit code. It returns an error if the program could not be
// started, or did not end properly.
func (c *capture) program(ctx context.Context) (code int, err error) {
	run := child{argv: c.argv, env: childEnv(c.environWithoutKeys(), false, nil, nil), out: c.output, err: c.other}
	if c.c.Bool("stderr") {
		run.out, run.err = c.other, c.output
	}
	code, err = c.runChild(ctx, run)
	c.failed, c.code = err != nil || code != exitOK, code
	switch {
	case err != nil && c.output.total > 0:
		return code, also(errors.Join(err, c.keep(c.output, "the program did not end properly")), c.showOther(nil))
	case err != nil:
		return code, hint(fmt.Errorf("cannot start the program: %w", err), "check that it is installed, in PATH and executable")
	}
	return code, nil
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
// output. If the secret is stored, and only the output cannot be shown, it sets unseen and returns nil.
func (c *capture) store(ctx context.Context, pattern pick.Pattern) error {
	output, interrupted := c.output, ctx.Err()
	if interrupted != nil { // the program had the signal; what it printed is kept all the same
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), captureTime)
		defer cancel()
	}
	matches, err := pattern.Find(output.bytes())
	all := matches
	switch {
	case err != nil && c.failed: // it usually created nothing, and explains why
		return also(c.keep(output, fmt.Sprintf("the program failed with exit code %d, and %v", c.code, err)), c.showOther(nil))
	case err != nil:
		return c.keepBoth(output, err.Error())
	case len(matches) > 1 && c.c.Bool("first"):
		matches = matches[:1]
	case len(matches) > 1 && c.c.Bool("last"):
		matches = matches[len(matches)-1:]
	case len(matches) > 1:
		err := c.keep(output, fmt.Sprintf("the output has %d different matches", len(matches)))
		return hint(also(err, c.showOther(all)), "use --first or --last, or a narrower pattern")
	case output.cut > 0:
		c.note("the output was %s long; %s in the middle were not searched", size(output.total), size(output.cut))
	}
	c.secret = matches[0]
	if c.check != nil {
		err = c.check(ctx)
	}
	if err == nil {
		err = c.put(ctx)
	}
	if err != nil && !isKept(err) && !errors.Is(err, errSameValue) { // the output is the only copy
		return also(c.keepUnstored(output, err), c.showOther(all))
	}
	c.stored = err == nil
	output.discard()
	c.unseen = c.showOther(all)
	shown := io.Writer(c.out)
	if c.c.Bool("stderr") {
		shown = c.err
	}
	if !c.json {
		_, werr := shown.Write(c.masked(output, all))
		c.unseen = cmp.Or(c.unseen, werr)
	}
	if c.stored && interrupted != nil { // then the output may not have been shown
		return &interruption{interrupted, "the secret was stored"}
	}
	return err
}

// isKept reports whether a secret is saved on this machine, or in fewer stores than the quorum.
func isKept(err error) bool {
	var spooled *vault.SpooledError
	var few *vault.QuorumError
	return errors.As(err, &spooled) || errors.As(err, &few)
}

// refusedID returns the short id of a secret that the store refused, and that is saved on this machine, or "".
func refusedID(err error) string {
	var spooled *vault.SpooledError
	var few *vault.QuorumError
	if !errors.As(err, &spooled) || !spooled.Refused || errors.As(err, &few) {
		return ""
	}
	return spool.ShortID(spooled.ID)
}

// refused adds a hint to the error of a secret that the store refused, and that is saved with an id.
func (c *capture) refused(err error, id string) error {
	command := c.c.Command.Name
	if errors.Is(err, vault.ErrExist) || errors.Is(err, vault.ErrConflict) {
		return hint(err, "%s writes the new value; %s stores it", c.command("spool get %s", id), c.command("spool retry %s --overwrite", id))
	}
	next := "do not run " + command + " again: remove the cause, then run " + c.command("spool retry %s", id) + ", which stores the new value"
	if cause := explain(command, err).Hint; cause != "" {
		next += ". About the cause: " + cause
	}
	return hint(err, "%s", next)
}

// put stores the secret.
func (c *capture) put(ctx context.Context) error {
	value, length := bytes.NewReader(c.secret), int64(len(c.secret))
	if c.opened == nil {
		return c.p.withoutTenant(ctx, value, length)
	}
	return c.p.put(ctx, c.opened, value, length)
}

// An interruption is the error of a command that finished its write after it was interrupted.
type interruption struct {
	err  error
	done string // what was done all the same
}

func (e *interruption) Error() string { return e.err.Error() + "; " + e.done }
func (e *interruption) Unwrap() error { return e.err }

// also adds an error to err, if there is one. An output that cannot be shown is not worth mentioning, and
// must not hide err: see fail.
func also(err, more error) error {
	if more == nil || errors.Is(more, errOutput) {
		return err
	}
	return errors.Join(err, more)
}

// masked returns an output with the name in place of the secrets.
func (c *capture) masked(output *recording, secrets []pick.Match) []byte {
	var hidden []mask.Secret
	for _, secret := range slices.Concat(secrets, c.hide) {
		hidden = append(hidden, mask.Secret{Name: string(c.p.name), Value: secret})
	}
	return mask.Bytes(output.bytes(), hidden)
}

// showOther shows the stream without the secret, which may contain it all the same.
func (c *capture) showOther(secrets []pick.Match) error {
	if c.other.cut > 0 {
		c.note("the program wrote %s to its other output stream (standard output or standard error); %s in the middle are not shown", size(c.other.total), size(c.other.cut))
	}
	shown := io.Writer(c.err)
	if c.c.Bool("stderr") {
		shown = c.out
	}
	_, err := shown.Write(c.masked(c.other, secrets))
	return err
}

// keepBoth is keep, and saves the other stream, too, because the secret may be there.
func (c *capture) keepBoth(output *recording, reason string) error {
	if c.other.total > 0 {
		name := "standard error"
		if c.c.Bool("stderr") {
			name = "standard output"
		}
		id, err := c.other.save("output of a program, " + name + ": " + reason)
		if err != nil {
			return errors.Join(c.keep(output, reason), fmt.Errorf("its %s cannot be saved: %w", name, err))
		}
		c.note("the %s of the program is not shown, because the secret may be there; %s writes it", name, c.command("spool get %s", spool.ShortID(id)))
	}
	return c.keep(output, reason)
}

// keep saves the whole output on this machine, where it is not sent, and returns an error with reason.
func (c *capture) keep(output *recording, reason string) error {
	switch {
	case output.total == 0 && c.failed:
		return fmt.Errorf("%w: the program failed with exit code %d and printed nothing", errNotCaptured, c.code)
	case output.total == 0:
		return fmt.Errorf("%w: the program printed nothing", errNotCaptured)
	}
	saved, next := c.saveOutput(output, reason)
	return hint(about(c.p.name, &notCaptured{reason + "; " + saved}), "%s", next)
}

// keepUnstored saves the output whose secret could not be stored, because of err. It returns err, with a
// text and a hint for the output.
func (c *capture) keepUnstored(output *recording, err error) error {
	r := explain(c.c.Command.Name, err)
	saved, next := c.saveOutput(output, "the secret could not be stored")
	if next = next + "; then store the secret in it with {vault} capture or {vault} put"; r.Hint != "" {
		next = r.Hint + "; " + next
	}
	if r.Kind == "interrupted" {
		return hint(about(c.p.name, &interruption{err, saved}), "%s", next)
	}
	return hint(about(c.p.name, &reworded{err, r.Message + "; the secret could not be stored; " + saved}), "%s", next)
}

// saveOutput saves the whole output, and describes what was saved. next is a hint.
func (c *capture) saveOutput(output *recording, reason string) (saved, next string) {
	id, err := output.saveAll("output of a program: " + reason)
	switch {
	case id == "":
		return fmt.Sprintf("the output cannot be saved on this machine either: %v", err), "free some space on this machine, and run the program again"
	case err != nil:
		saved = fmt.Sprintf("only the first %s of the output are saved on this machine: %v", size(output.savedLen), err)
	default:
		saved = "the output is saved on this machine"
	}
	if output.cut > 0 {
		saved += fmt.Sprintf("; %s in its middle were not saved", size(output.cut))
	}
	return saved, c.command("spool get %s -o FILE", spool.ShortID(id)) + " writes the output"
}

// A notCaptured error says why the output has no secret.
type notCaptured struct{ text string }

func (e *notCaptured) Error() string { return e.text }
func (e *notCaptured) Unwrap() error { return errNotCaptured }
