package main

import "testing"

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
