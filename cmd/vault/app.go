package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// run is the whole program: it builds a fresh app, parses the command line, runs the
// command, reports the error and returns the exit code.
func run(ctx context.Context, args []string, w *world) int {
	prog, words := "vault", []string(nil)
	if len(args) > 0 {
		words = args[1:]
		if base := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); base != "" && base != "." && base != string(filepath.Separator) {
			prog = base
		}
	}
	copied, out := *w, &output{ctx: ctx, w: w.out, direct: isRegular(w.out)}
	copied.out = out
	u := &ui{
		world: &copied, prog: prog,
		json: argv.IsSet(words, "json"), quiet: argv.IsSet(words, "quiet") || argv.IsSet(words, "q"),
	}
	s := &session{ui: u}
	defer s.closeKeys()
	app := newApp(s)
	line, err := argv.Parse(app.Flags, app.Commands, words)
	if err == nil {
		s.line, err = line, s.dispatch(ctx, app, line)
	}
	if err == nil && out.err != nil {
		err = out.err // code that prints with fmt ignores write errors
	}
	if err == nil {
		return exitOK
	}
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil {
		err = tagged{err, cause} // the cause tells which signal
	}
	op := strings.Join(line.Path(), " ")
	if argv.FindCommand(app.Commands, line.Command) == nil {
		op = ""
	}
	return u.fail(op, err)
}

// A session is one run of one command.
type session struct {
	*ui
	line   argv.Line
	c      *cli.Context
	opened *opened // nil until the command opens the vault
	// createsStore means that the command may create the store if it does not exist.
	createsStore bool
	mayBeMissing bool // a store that does not exist is an empty one

	sources     map[string]envelope.KeySource // the key sources that were opened, by URL
	credentials *federation.Provider          // for the keys of a cloud; nil until one is opened
	keepKeys    time.Duration                 // how long a signer's keys stay in memory; 0: until the call is complete

	spoolLimit   int64 // maximum length of a value that is saved on this machine; 0: the default
	flushesLater bool  // the command sends the entries of the spool itself
	spoolAlways  bool  // the command needs a spool, also for a store that has none by default

	profile  string // the settings are those of this profile, and not those of flags; empty: those of the command
	storeURL string // replaces the store of the settings, if it is not empty
	behind   behindLog

	aboutIdentity bool // the command has no use without an identity

	unfinished int64 // for the JSON of sync: bytes of uploads that may remain, except those in its other lines

	partialFlags map[string][]string // the flags before the cursor in a completion, where c is nil
}

// dispatch runs the command that line names.
func (s *session) dispatch(ctx context.Context, app *cli.App, line argv.Line) error {
	switch {
	case line.Command == completeVerb:
		return complete(ctx, s, app, line.Args)
	case line.Version:
		line = argv.Line{Command: "version", Flags: slices.DeleteFunc(line.Flags, func(f string) bool { return f != "--json" })}
	case line.Command != "" && argv.FindCommand(app.Commands, line.Command) == nil:
		err := usagef("unknown command %q", line.Command)
		if near := argv.Nearest(line.Command, commandNames(app.Commands), 1); len(near) > 0 {
			err.Hint = "did you mean {prog} " + near[0] + "?"
		} else {
			err.Hint = "{prog} help lists the commands"
		}
		return err
	case line.Help && line.Command == "help":
		line = argv.Line{Command: "help", Args: []string{"help"}}
	case line.Help && line.Command == "":
		line = argv.Line{Command: "help"}
	case line.Help:
		line = argv.Line{Command: "help", Args: line.Path()}
	case line.Command == "" && !s.json:
		app.Setup()
		cli.HelpPrinter(s.err, cli.AppHelpTemplate, app)
		return childCode(exitUsage)
	case line.Command == "":
		return usagef("no command given")
	}
	if line.Command != "help" && line.Command != "completion" {
		app.Commands = []*cli.Command{argv.FindCommand(app.Commands, line.Command)} // urfave prepares all of them
	}
	s.line = line
	err := app.RunContext(ctx, line.Canonical(s.prog))
	if s.opened != nil {
		if cerr := s.opened.close(); err == nil {
			err = cerr
		}
	}
	return err
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return names
}

// newApp builds the app of one run. The app cannot be used twice, because urfave stores the
// parsed values in the flags.
func newApp(s *session) *cli.App {
	app := &cli.App{
		Name:      s.prog,
		HelpName:  s.prog,
		Usage:     "stores secrets, sealed on this machine, in your own bucket or directory",
		UsageText: s.prog + " COMMAND [flags] [arguments]",
		Description: "Values are sealed on this machine before they are stored. By default the store is a directory in\n" +
			"your home directory; --store, an environment variable or a profile selects another one.\n\n" +
			"On a terminal, what needs attention in the output of audit, doctor, ls and policy check is bold or red.\n" +
			"NO_COLOR=1 or TERM=dumb turns this off, and CLICOLOR_FORCE=1 turns it on for a pipe or a file.\n\n" +
			"   " + s.prog + " help COMMAND      describes a command\n" +
			"   " + s.prog + " help names        describes the rules for names\n" +
			"   " + s.prog + " help exit-codes   lists the exit codes",
		Writer: s.out, ErrWriter: s.err, Reader: s.in,
		HideVersion: true, HideHelp: true, HideHelpCommand: true,
		DisableSliceFlagSeparator: true,
		// Errors are returned: run prints them once and converts them into an exit code.
		ExitErrHandler: func(*cli.Context, error) {},
		Flags: append(commonFlags(), helpFlag(),
			&cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}),
		Commands: []*cli.Command{
			initCommand(s), putCommand(s), getCommand(s), lsCommand(s), statCommand(s), rmCommand(s),
			historyCommand(s), rollbackCommand(s), undeleteCommand(s), teardownCommand(s),
			captureCommand(s), rotateCommand(s), verifyCommand(s), auditCommand(s), copyCommand(s), migrateCommand(s), serveCommand(s), syncCommand(s), spoolCommand(s), seenCommand(s), keysCommand(s), execCommand(s), loginCommand(s), logoutCommand(s), whoamiCommand(s), policyCommand(s), doctorCommand(s), versionCommand(s), completionCommand(s), helpCommand(s),
		},
	}
	app.OnUsageError = onUsageError
	for _, c := range app.Commands {
		prepare(c)
	}
	return app
}

// prepare sets the options that urfave does not pass on to subcommands.
func prepare(c *cli.Command) {
	c.HideHelp, c.HideHelpCommand = true, true
	c.OnUsageError = onUsageError
	// Each command needs its own copy, because a flag stores its parsed value.
	own := make(map[string]bool)
	for _, f := range c.Flags {
		own[nameOf(f)] = true
	}
	for _, f := range append(commonFlags(), helpFlag()) {
		if !own[nameOf(f)] { // capture has a --json of its own
			c.Flags = append(c.Flags, f)
		}
	}
	for _, sub := range c.Subcommands {
		prepare(sub)
	}
}

// nameOf returns the name of a flag. [cli.Flag.Names] runs a regular expression for each name, which would
// take a twentieth of the CPU time of a small put, because all commands together have 1,000 flags.
func nameOf(f cli.Flag) string {
	switch f := f.(type) {
	case *cli.StringFlag:
		return f.Name
	case *cli.BoolFlag:
		return f.Name
	}
	return f.Names()[0]
}

// onUsageError drops the message of the flag package, because it quotes the value.
func onUsageError(*cli.Context, error, bool) error {
	return usagef("a flag has an invalid value (not shown, because it may be a secret)")
}

func helpFlag() cli.Flag {
	return &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}
}

// commonFlags returns the flags of every command. None of them contains a secret.
func commonFlags() []cli.Flag {
	const category = "All commands:"
	text := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: usage, Category: category}
	}
	yes := func(name, usage string, aliases ...string) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, Aliases: aliases, Category: category, DisableDefaultText: true}
	}
	return []cli.Flag{
		text("store", "`URL` of the store: s3://BUCKET?region=R, cos://BUCKET-APPID?region=R, file:///DIR?versions=N or mem:// [$OBJECTVAULT_STORE]"),
		text("tenant", "`ID` of the tenant: the user or agent that owns the values [$OBJECTVAULT_TENANT]"),
		text("collection", "`NAME` of a collection, a separate group of names within the tenant [$OBJECTVAULT_COLLECTION]"),
		&cli.StringSliceFlag{Name: "keys", Usage: "`URL` of a key source: local: is the default key file, and help keys lists the other kinds. Repeat the flag to seal with several keys, each of which can open the value [$OBJECTVAULT_KEYS, separated by blanks]", Category: category},
		text("identity", "`SOURCE` of the OIDC token for the cloud: file:PATH, env:VAR, exec:COMMAND, broker+https://HOST or github: [$OBJECTVAULT_IDENTITY]"),
		text("vault-id", "`ID` that distinguishes vaults with the same tenant and key. A value can be opened only with the ID with which it was sealed"),
		text("profile", "`NAME` of the profile to use [$OBJECTVAULT_PROFILE]"),
		text("config", "configuration `FILE` [$OBJECTVAULT_CONFIG]"),
		text("timeout", "close a connection that is silent for this `DURATION`; 30s by default [$OBJECTVAULT_TIMEOUT]"),
		text("deadline", "stop the command after this `DURATION`; no limit by default [$OBJECTVAULT_DEADLINE]"),
		text("spool", "directory `DIR` in which values are saved until the store has them [$OBJECTVAULT_SPOOL]"),
		text("log", "append a JSON line for each operation to `FILE`, without values [$OBJECTVAULT_LOG]"),
		yes("json", "print results and errors as JSON"),
		yes("quiet", "print only results and errors", "q"),
		yes("verbose", "log each request to the store", "v"),
		yes("yes", "answer yes to every question"),
	}
}

// action returns the action of a command: it reads the common flags, sets the deadline, and
// calls do.
func (s *session) action(do func(ctx context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		s.c = c
		s.json, s.quiet, s.verbose, s.yes = c.Bool("json"), c.Bool("quiet"), c.Bool("verbose"), c.Bool("yes")
		s.selected = s.selectVault()
		for _, flag := range []string{"add", "remove", "retired"} {
			for _, text := range c.StringSlice(flag) {
				hideDescriptor(text)
			}
		}
		ctx, cancel, deadline := s.limited(c.Context)
		defer cancel()
		err := do(ctx)
		// The time limit of one connection is also a context.DeadlineExceeded.
		if deadline != "" && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, vault.ErrUnsure) {
			return hint(err, "increase the deadline: the command did not finish within %s", deadline)
		}
		return err
	}
}

// limited returns a context that ends early enough for the command to finish at its deadline. The
// last 5 seconds, or half of a shorter deadline, are left to clean up after an interrupted write:
// to read the object back and to abort an upload. deadline describes the setting; it is empty if
// there is no deadline. limited ignores invalid settings, because each command reports them.
func (s *session) limited(ctx context.Context) (_ context.Context, cancel context.CancelFunc, deadline string) {
	start := time.Now()
	set, err := s.settings()
	if err != nil {
		return ctx, func() {}, ""
	}
	total, err := set.TotalTime()
	if err != nil || total == 0 {
		return ctx, func() {}, ""
	}
	ctx = linger.WithEnd(ctx, start.Add(total))
	ctx, cancel = context.WithDeadline(ctx, start.Add(total-min(5*time.Second, total/2)))
	return ctx, cancel, set.Deadline.Text + " (" + set.Deadline.From + ")"
}

// flag returns the values of a common flag, or nil if the flag is not set.
func (s *session) flag(name string) []string {
	switch {
	case s.partialFlags != nil:
		return s.partialFlags[name]
	case s.profile != "" && name == "profile":
		return []string{s.profile}
	case s.profile != "" && name != "config" && name != "timeout":
		return nil
	case s.c == nil || !slices.Contains(s.c.LocalFlagNames(), name): // IsSet is slow: see nameOf
		return nil
	case name == "keys":
		return s.c.StringSlice(name)
	}
	return []string{s.c.String(name)}
}

// places returns the locations of the command's files.
func (s *session) places() config.Places {
	return config.Places{GOOS: s.goos, Getenv: s.getenv, UserHome: s.userHome}
}

// noHome adds a hint to an error that means that there is no home directory.
func noHome(err error) error {
	if errors.Is(err, config.ErrNoHome) {
		return hint(err, "set HOME, or set --store file:///DIR and --keys local:///FILE")
	}
	return err
}

func (s *session) settings() (config.Settings, error) {
	set, err := config.Reader{
		Places:   s.places(),
		Flag:     s.flag,
		Profile:  s.profile,
		ReadFile: s.readFile,
	}.Read()
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		err = hint(err, "check the file, or select another one with --config or OBJECTVAULT_CONFIG")
	}
	if s.storeURL != "" {
		set = withStore(set, s.storeURL)
	}
	// The identity is for the store that was overridden. A store in a cloud may need one, and without it would
	// use other credentials of this machine.
	if set.Store.Overrides(set.Identity) && !inCloud(set.Store.Text) {
		set.Identity = config.Value{}
	}
	for _, v := range set.Keys {
		hideDescriptor(v.Text)
	}
	return set, err
}

// name parses the NAME argument of a command. Error messages that contain no name show this one.
func (s *session) name(arg string) (vault.Name, error) {
	s.subject = arg
	return vault.ParseName(arg)
}

// newName is like [session.name], for commands that store a value under the name.
func (s *session) newName(arg string) (vault.Name, error) {
	s.subject = arg
	return vault.ParseNewName(arg)
}

// arguments returns the arguments and checks their number; most < 0 means any number. The error
// does not quote the arguments, because one may be a secret in the wrong place.
func (s *session) arguments(least, most int) ([]string, error) {
	args := s.c.Args().Slice()
	switch {
	case len(args) < least:
		return nil, usagef("too few arguments: %s", s.c.Command.UsageText)
	case most >= 0 && len(args) > most:
		return nil, usagef("too many arguments: %s", s.c.Command.UsageText)
	}
	return args, nil
}
