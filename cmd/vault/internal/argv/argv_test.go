package argv

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

// newTestApp returns an app like the real one, with a group and with flags of every kind. The fuzz
// target uses it because the flags of the real app would require the SDKs of the clouds. TestParse of
// the command uses the real flags.
func newTestApp() *cli.App {
	app := &cli.App{
		Name: "vault", Writer: io.Discard, ErrWriter: io.Discard,
		HideVersion: true, HideHelp: true, HideHelpCommand: true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {},
		Flags:                     append(newCommonFlags(), &cli.BoolFlag{Name: "version"}),
		Commands: []*cli.Command{
			{Name: "get", Flags: []cli.Flag{
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}},
				&cli.StringFlag{Name: "version"},
				&cli.StringFlag{Name: "range"},
				&cli.BoolFlag{Name: "reveal"},
			}},
			{Name: "put", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "label"}, &cli.BoolFlag{Name: "create"}}},
			{Name: "ls", Flags: []cli.Flag{&cli.BoolFlag{Name: "long", Aliases: []string{"l"}}}},
			{Name: "exec", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "env"}}},
			{Name: "policy", Subcommands: []*cli.Command{
				{Name: "aws", Flags: []cli.Flag{&cli.StringFlag{Name: "bucket"}}},
				{Name: "check", Flags: []cli.Flag{&cli.StringSliceFlag{Name: "tag"}}},
			}},
		},
	}
	prepare(app.Commands)
	return app
}

func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelp, c.HideHelpCommand = true, true
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return err }
		c.Flags = append(c.Flags, newCommonFlags()...)
		prepare(c.Subcommands)
	}
}

func newCommonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tenant"},
		&cli.StringSliceFlag{Name: "keys"},
		&cli.BoolFlag{Name: "json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}},
		&cli.BoolFlag{Name: "help", Aliases: []string{"h"}},
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		words string
		want  Line
	}{
		{"exec a --env X=y -- b -- -c --help", Line{Command: "exec", Flags: []string{"--env=X=y"}, Args: []string{"a", "b", "--", "-c", "--help"}, BeforeTerminator: 1, Terminated: true}},
		{"--json policy -q check x -h", Line{Command: "policy", Subcommand: "check", Flags: []string{"--json", "--quiet"}, Args: []string{"x"}, BeforeTerminator: 1, Help: true}},
		{"--version get", Line{Command: "get", Version: true}},
		{"get --version 2", Line{Command: "get", Flags: []string{"--version=2"}}},
		{"other --json", Line{Command: "other", Flags: []string{"--json"}}},
		{"-- get --json", Line{Command: "get", Args: []string{"--json"}, Terminated: true}},
	} {
		app := newTestApp()
		got, err := Parse(app.Flags, app.Commands, strings.Fields(tc.words))
		if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v, (-want +got):\n%s", tc.words, err, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct{ words, text, hint string }{
		{"get --jsno", "unknown flag --jsno", "did you mean --json?"},
		{"get -x", "unknown flag -x", ""},
		{"policy check --bucket b", "unknown flag --bucket", ""},
		{"put a -sk", "unknown flag (not shown, because it may be the secret)", "pass the value through standard input; if an argument starts with -, write -- before it"},
		{"get -o", "flag -o needs a value", ""},
	} {
		app := newTestApp()
		_, err := Parse(app.Flags, app.Commands, strings.Fields(tc.words))
		var e *usage.Error
		if !errors.As(err, &e) || e.Text != tc.text || e.Hint != tc.hint || !errors.Is(err, usage.ErrUsage) {
			t.Errorf("%q: error %v (%+v), want %q with the hint %q", tc.words, err, e, tc.text, tc.hint)
		}
	}
}

func TestIsSet(t *testing.T) {
	for words, want := range map[string]bool{
		"get a --json": true, "--json": true, "get -json": true, "get --json=false": false, "get --json --json=0": false,
		"get -- --json": false, "get json": false, "get --jsonx": false, "get --nope --json": true,
	} {
		if got := IsSet(strings.Fields(words), "json"); got != want {
			t.Errorf("IsSet(%q) = %v", words, got)
		}
	}
}

// FuzzParse parses the canonical form of each accepted line, and expects the same line. Then it runs
// the command, which must get the arguments of the line from the flag package.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"get a --json", "get a -o F", "exec --env A=b -- sh -c 'x'", "--tenant t get -- -a", "put a -", "get --range -5", "x --y", "", "-- --", "get a --json=", "--version", "ls -l=1 -h", "policy --json aws --bucket b", "policy check a --tag t b", "policy x", "policy -- aws"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, " ")
		app := newTestApp()
		line, err := Parse(app.Flags, app.Commands, words)
		if err != nil {
			if !errors.Is(err, usage.ErrUsage) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if n := len(line.Args) + len(line.Flags); n > len(words) {
			t.Fatalf("%q: %d words were parsed as %d", text, len(words), n)
		}
		c := line.Find(app.Commands)
		if c == nil {
			return
		}
		again, err := Parse(app.Flags, app.Commands, line.Canonical("vault")[1:])
		again.Help, again.Version, again.Terminated, again.BeforeTerminator = line.Help, line.Version, line.Terminated, line.BeforeTerminator
		if diff := cmp.Diff(line, again, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); err != nil || diff != "" {
			t.Fatalf("%q: %v, (-first +second):\n%s", text, err, diff)
		}
		var got []string
		ran := false
		c.Action = func(ctx *cli.Context) error { got, ran = ctx.Args().Slice(), true; return nil }
		if err := app.Run(line.Canonical("vault")); err == nil && (!ran || !slices.Equal(got, append([]string{}, line.Args...))) {
			t.Fatalf("%q: the command got %q (ran %v), want %q", text, got, ran, line.Args)
		}
	})
}

// TestMisplaced: a boolean flag does not become a flag with a value of the same name.
func TestMisplaced(t *testing.T) {
	for words, refused := range map[string]bool{
		"--json capture --regex x a": true,
		"--json=true capture a":      true,
		"--json group in a":          true,
		"capture --json data.key a":  false,
		"--quiet capture --json k a": false,
		"--json ls":                  false,
	} {
		app := newTestApp()
		path := &cli.StringFlag{Name: "json"}
		app.Commands = append(app.Commands,
			&cli.Command{Name: "capture", Flags: []cli.Flag{path, &cli.StringFlag{Name: "regex"}, &cli.BoolFlag{Name: "quiet"}}},
			&cli.Command{Name: "group", Subcommands: []*cli.Command{{Name: "in", Flags: []cli.Flag{path}}}})
		_, err := Parse(app.Flags, app.Commands, strings.Fields(words))
		if errors.Is(err, usage.ErrUsage) != refused || !refused && err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
}
