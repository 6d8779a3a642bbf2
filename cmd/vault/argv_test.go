package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func testApp() *cli.App {
	return newApp(&session{ui: &ui{world: &world{out: io.Discard, err: io.Discard}, prog: "vault"}})
}

func TestTakeApart(t *testing.T) {
	for _, tc := range []struct {
		line string
		want string // the canonical line; empty with an error
		err  string
	}{
		{"", "vault --", ""},
		{"get a", "vault get -- a", ""},
		{"get a --json", "vault get --json -- a", ""},
		{"get --json a", "vault get --json -- a", ""},
		{"--json get a", "vault get --json -- a", ""},
		{"get a -o F", "vault get --output=F -- a", ""},
		{"get a -o=F", "vault get --output=F -- a", ""},
		{"get a --output - b", "vault get --output=- -- a b", ""},
		{"get a --range -5", "vault get --range=-5 -- a", ""},
		{"get a -o --json", "vault get --output=--json -- a", ""},
		{"get -json a", "vault get --json -- a", ""},
		{"put a -", "vault put -- a -", ""},
		{"get -- --odd --json", "vault get -- --odd --json", ""},
		{"get a -- -o -- b", "vault get -- a -o -- b", ""},
		{"exec --env A=b,c -- sh -c x", "vault exec --env=A=b,c -- sh -c x", ""},
		{"--tenant t --json get a --tenant=u", "vault get --tenant=t --json --tenant=u -- a", ""},
		{"get --json=false a", "vault get --json=false -- a", ""},
		{"get a --version @2", "vault get --version=@2 -- a", ""},
		{"get a --nope", "", "unknown flag --nope"},
		{"get a -x", "", "unknown flag -x"},
		{"get a -5", "", "unknown flag -5"},
		{"get a --=x", "", "unknown flag --"},
		{"--reveal get a", "", "unknown flag --reveal"},
		{"get a -o", "", "flag -o needs a value"},
		{"get --tenant", "", "flag --tenant needs a value"},
		{"put a -sk", "", "unknown flag (not shown, it may be the secret)"},
		{"stat a --version", "", "unknown flag --version"},
		{"policy", "vault policy --", ""},
		{"policy aws --bucket b", "vault policy aws --bucket=b --", ""},
		{"--json policy --quiet aws --bucket b", "vault policy aws --json --quiet --bucket=b --", ""},
		{"policy check a --json b", "vault policy check --json -- a b", ""},
		{"policy check aws check", "vault policy check -- aws check", ""},
		{"policy check -- --odd", "vault policy check -- --odd", ""},
		{"policy awz --json aws", "vault policy --json -- awz aws", ""},
		{"get aws check", "vault get -- aws check", ""},
		{"policy --bucket b aws", "", "unknown flag --bucket"},
		{"policy aws --allow-purg", "", "unknown flag --allow-purg"},
		{"policy check --grants x", "", "unknown flag --grants"},
	} {
		app := testApp()
		inv, err := takeApart(app.Flags, app.Commands, strings.Fields(tc.line))
		if tc.err != "" {
			if err == nil || err.Error() != tc.err || !errors.Is(err, errUsage) {
				t.Errorf("%q: error %v, want %s", tc.line, err, tc.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.line, err)
		} else if got := strings.Join(inv.canonical("vault"), " "); got != tc.want {
			t.Errorf("%q becomes %q, want %q", tc.line, got, tc.want)
		}
	}
	app := testApp()
	inv, err := takeApart(app.Flags, app.Commands, []string{"exec", "a", "--env", "X=y", "--", "b", "--", "-c", "--help"})
	if err != nil || inv.before != 1 || !inv.dashed || inv.help || !slices.Equal(inv.args, []string{"a", "b", "--", "-c", "--help"}) {
		t.Errorf("exec: %+v, %v", inv, err)
	}
	for line, want := range map[string]bool{
		"get a --json": true, "--json": true, "get -json": true, "get --json=false": false, "get --json --json=0": false,
		"get -- --json": false, "get json": false, "get --jsonx": false, "get --nope --json": true,
	} {
		if got := isSet(strings.Fields(line), "json"); got != want {
			t.Errorf("isSet(%q) = %v", line, got)
		}
	}
}

// FuzzTakeApart: a canonical line means itself, arguments keep their order and are what
// the flag package hands out.
func FuzzTakeApart(f *testing.F) {
	for _, seed := range []string{"get a --json", "get a -o F", "exec --env A=b -- sh -c 'x'", "--tenant t get -- -a", "put a -", "get --range -5", "x --y", "", "-- --", "get a --json=", "--version", "ls -l=1 -h", "policy --json aws --bucket b", "policy check a --tag t b", "policy x", "policy -- aws"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		app := testApp()
		inv, err := takeApart(app.Flags, app.Commands, words)
		if err != nil {
			if !errors.Is(err, errUsage) {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if n := len(inv.args) + len(inv.flags); n > len(words) {
			t.Fatalf("%q: %d words became %d", line, len(words), n)
		}
		c := inv.find(app.Commands)
		if c == nil {
			return
		}
		again, err := takeApart(app.Flags, app.Commands, inv.canonical("vault")[1:])
		again.help, again.version, again.dashed, again.before = inv.help, inv.version, inv.dashed, inv.before
		if diff := cmp.Diff(inv, again, cmp.AllowUnexported(invocation{}), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); err != nil || diff != "" {
			t.Fatalf("%q: %v, (-first +second):\n%s", line, err, diff)
		}
		var got []string
		ran := false
		c.Action = func(ctx *cli.Context) error { got, ran = ctx.Args().Slice(), true; return nil }
		if err := app.Run(inv.canonical("vault")); err == nil && (!ran || !slices.Equal(got, append([]string{}, inv.args...))) {
			t.Fatalf("%q: the command got %q (ran %v), want %q", line, got, ran, inv.args)
		}
	})
}

// TestEveryCommand: what urfave does not hand down is there, everywhere.
func TestEveryCommand(t *testing.T) {
	app := testApp()
	if !app.HideVersion || !app.HideHelp || !app.DisableSliceFlagSeparator || app.ExitErrHandler == nil || app.OnUsageError == nil {
		t.Error("the app lacks a setting")
	}
	want := []string{"init", "put", "get", "ls", "stat", "rm", "history", "rollback", "undelete", "teardown", "exec", "login", "logout", "whoami", "policy", "doctor", "version", "completion", "help"}
	if diff := cmp.Diff(want, commandNames(app.Commands)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	common := []string{"store", "tenant", "collection", "keys", "identity", "vault-id", "profile", "config", "timeout", "json", "quiet", "verbose", "yes", "help"}
	type named struct {
		*cli.Command
		Name string // with the group's
	}
	var all []named
	for _, c := range app.Commands {
		all = append(all, named{c, c.Name})
		for _, sub := range c.Subcommands {
			all = append(all, named{sub, c.Name + " " + sub.Name})
			if sub.HelpName != "vault "+c.Name+" "+sub.Name || len(sub.Subcommands) > 0 {
				t.Errorf("%s %s: help name %q, and groups have no groups", c.Name, sub.Name, sub.HelpName)
			}
		}
	}
	for _, c := range all {
		if c.OnUsageError == nil || !c.HideHelpCommand || c.Action == nil {
			t.Errorf("%s lacks OnUsageError, HideHelpCommand or Action", c.Name)
		}
		if _, examples, ok := strings.Cut(c.Description, "Examples:\n"); !ok || !strings.Contains(examples, "vault "+c.Name) {
			t.Errorf("%s has no example", c.Name)
		}
		if !strings.HasPrefix(c.UsageText, "vault "+c.Name) {
			t.Errorf("%s: usage %q", c.Name, c.UsageText)
		}
		seen := map[string]bool{}
		for _, f := range c.Flags {
			for _, name := range f.Names() {
				if seen[name] {
					t.Errorf("%s has the flag %s twice", c.Name, name)
				}
				seen[name] = true
			}
			if r, ok := f.(cli.RequiredFlag); ok && r.IsRequired() {
				t.Errorf("%s: flag %s is Required, which exits with help", c.Name, f.Names()[0])
			}
			if d, ok := f.(cli.DocGenerationFlag); ok && len(d.GetEnvVars()) > 0 {
				t.Errorf("%s: flag %s reads the environment by itself", c.Name, f.Names()[0])
			}
		}
		for _, name := range common {
			if !seen[name] {
				t.Errorf("%s lacks --%s", c.Name, name)
			}
		}
	}
}
