package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/argv"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

func testApp() *cli.App {
	return newApp(&session{ui: &ui{world: &world{out: io.Discard, err: io.Discard}, prog: "vault"}})
}

// TestParse parses command lines with the flags and the commands of the app.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		line string
		want string // the canonical command line; empty if an error is wanted
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
		{"put a -sk", "", "unknown flag (not shown, because it may be the secret)"},
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
		line, err := argv.Parse(app.Flags, app.Commands, strings.Fields(tc.line))
		if tc.err != "" {
			if err == nil || err.Error() != tc.err || !errors.Is(err, usage.ErrUsage) {
				t.Errorf("%q: error %v, want %s", tc.line, err, tc.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.line, err)
		} else if got := strings.Join(line.Canonical("vault"), " "); got != tc.want {
			t.Errorf("%q is parsed as %q, want %q", tc.line, got, tc.want)
		}
	}
}

// TestEveryCommand: each command has the settings that urfave/cli does not inherit from the app.
func TestEveryCommand(t *testing.T) {
	app := testApp()
	if !app.HideVersion || !app.HideHelp || !app.DisableSliceFlagSeparator || app.ExitErrHandler == nil || app.OnUsageError == nil {
		t.Error("the app lacks a setting")
	}
	want := []string{"init", "put", "get", "ls", "stat", "rm", "history", "rollback", "undelete", "teardown", "capture", "rotate", "verify", "audit", "copy", "migrate", "serve", "sync", "spool", "seen", "keys", "exec", "login", "logout", "whoami", "policy", "doctor", "version", "completion", "help"}
	if diff := cmp.Diff(want, commandNames(app.Commands)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	common := []string{"store", "tenant", "collection", "keys", "identity", "vault-id", "profile", "config", "timeout", "json", "quiet", "verbose", "yes", "help"}
	type named struct {
		*cli.Command
		Name string // preceded by that of the group
	}
	var all []named
	for _, c := range app.Commands {
		all = append(all, named{c, c.Name})
		for _, sub := range c.Subcommands {
			all = append(all, named{sub, c.Name + " " + sub.Name})
			if sub.HelpName != "vault "+c.Name+" "+sub.Name || len(sub.Subcommands) > 0 {
				t.Errorf("%s %s: help name %q; a group must not contain a group", c.Name, sub.Name, sub.HelpName)
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
				t.Errorf("%s: flag %s reads the environment itself, without the app", c.Name, f.Names()[0])
			}
		}
		for _, name := range common {
			if !seen[name] {
				t.Errorf("%s lacks --%s", c.Name, name)
			}
		}
	}
}
