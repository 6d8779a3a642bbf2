package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

// TestSelectVault: a command in a message has the flags that select the vault, as words of a shell and
// without what may be secret.
func TestSelectVault(t *testing.T) {
	for _, tc := range []struct {
		flags map[string][]string
		want  string
	}{
		{nil, "vault"},
		{map[string][]string{"timeout": {"5s"}, "json": {"true"}, "log": {"x"}}, "vault"},
		{map[string][]string{"store": {"s3://vault?region=eu-central-1&parallel=4"}}, "vault --store 's3://vault?region=eu-central-1&parallel=4'"},
		{map[string][]string{"tenant": {"0xabc"}, "collection": {"notes"}, "profile": {"work"}, "config": {"/etc/vault.toml"}, "vault-id": {"w"}},
			"vault --config /etc/vault.toml --profile work --tenant 0xabc --collection notes --vault-id w"},
		{map[string][]string{"spool": {"/media/it's a disk"}}, `vault --spool '/media/it'\''s a disk'`},
		{map[string][]string{"spool": {"-d"}}, "vault --spool -d"}, // the word after a flag is its value
		{map[string][]string{"keys": {"local:", "local:///b $(x)"}}, "vault --keys local: --keys 'local:///b $(x)'"},
		{map[string][]string{"identity": {"file:/run/token"}}, "vault --identity file:/run/token"},
		{map[string][]string{"identity": {"exec:mint --password sk-1"}}, "vault --identity SOURCE"},
		{map[string][]string{"identity": {"broker+https://host/x?session=env:SESSION"}}, "vault --identity 'broker+https://host/x?session=env:SESSION'"},
		{map[string][]string{"identity": {"broker+https://host/x?session=sk-1"}}, "vault --identity SOURCE"},
		{map[string][]string{"identity": {"broker+https://host/x?session=env:A&session=sk-1"}}, "vault --identity SOURCE"},
		{map[string][]string{"identity": {"broker+https://me:sk-1@host/x?session=env:A"}}, "vault --identity SOURCE"},
		{map[string][]string{"keys": {"exec:unlock sk-1"}, "store": {"s3://user:sk-1@vault"}}, "vault --store URL --keys URL"},
		{map[string][]string{"store": {"s3://vault?endpoint=http://user:sk-1@host"}}, "vault --store URL"},
	} {
		s := &session{ui: &ui{prog: "vault"}, partialFlags: tc.flags}
		if got := s.selectVault(); got != tc.want {
			t.Errorf("%q: %s\nwant %s", tc.flags, got, tc.want)
		}
	}
}

// TestMirrorCopy: the commands that decide between two values use the tenant, the keys and so on of this run, and
// contain nothing that may be secret.
func TestMirrorCopy(t *testing.T) {
	for _, tc := range []struct {
		store     string
		flags     map[string][]string
		variables map[string]string
		want      string
	}{
		{"file:///first", nil, nil, "vault copy MIRROR work x --force keeps the value of the mirror, and vault copy work MIRROR x --force that"},
		{"file:///first", map[string][]string{"profile": {"work"}, "config": {"c.toml"}}, nil, "vault --config c.toml copy MIRROR work x --force"},
		{"file:///first", map[string][]string{"profile": {"work"}, "tenant": {"acme"}}, nil, "vault --profile work --tenant acme copy MIRROR-URL file:///first x --force keeps"},
		{"file:///first", map[string][]string{"collection": {"notes"}}, nil, "vault --collection notes copy file:///first MIRROR-URL x --force that"},
		{"file:///first", map[string][]string{"vault-id": {"w"}}, nil, "vault --vault-id w copy MIRROR-URL file:///first x"},
		{"file:///first", map[string][]string{"keys": {"exec:unlock sk-1"}}, nil, "vault --keys URL copy MIRROR-URL file:///first x"},
		{"file:///first", nil, map[string]string{"OBJECTVAULT_KEYS": "local:///b"}, "vault copy MIRROR-URL file:///first x"},
		{"file:///first", nil, map[string]string{"OBJECTVAULT_TENANT": "acme"}, "vault copy MIRROR-URL file:///first x"},
		{"s3://user:sk-1@first", map[string][]string{"tenant": {"acme"}}, nil, "vault --tenant acme copy MIRROR-URL FIRST-URL x"},
		{"s3://user:sk-1@first", nil, nil, "vault copy MIRROR work x"},
	} {
		file := "profile = \"work\"\n[profiles.work]\nstore = \"" + tc.store + "\"\ntenant = \"globex\"\nmirrors = [\"file:///second\"]\n"
		var errs bytes.Buffer
		w := &world{
			err: &errs, goos: "linux", userHome: func() string { return "/home/user" }, getenv: func(name string) string { return tc.variables[name] },
			readFile: func(string) ([]byte, error) { return []byte(file), nil },
		}
		s := &session{ui: &ui{world: w, prog: "vault"}, partialFlags: tc.flags}
		s.selected = s.selectVault()
		s.noteBehind(vault.Behind{Store: "file:///second", Name: "x", Err: vault.ErrConflict})
		if got := errs.String(); !strings.Contains(got, tc.want) || strings.Contains(got, "sk-1") || strings.Contains(got, "{") {
			t.Errorf("%s, %q, %q: %s\nwant %s", tc.store, tc.flags, tc.variables, got, tc.want)
		}
	}
}
