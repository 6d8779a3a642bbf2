package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
)

// vaultFlags are the common flags that select the objects of a command, and how they are opened.
var vaultFlags = []struct {
	name, placeholder string
	shown             func(string) string // returns the value without what may be secret
}{
	{name: "config"}, {name: "profile"}, {"store", "URL", shownURL}, {name: "tenant"}, {name: "collection"},
	{name: "vault-id"}, {"keys", "URL", shownKey}, {"identity", "SOURCE", identityFlag}, {name: "spool"},
}

// selectVault returns the start of a command that uses the same vault as this run: the program and the
// flags of this run that select the vault, quoted for a shell. It replaces {vault} in a hint. A value with
// a part that may be secret is replaced by the placeholder of its flag.
func (s *session) selectVault() string { return s.selectOnly(nil) }

// selectOnly is selectVault with the given flags only. Nil means all.
func (s *session) selectOnly(names []string) string {
	text := s.prog
	for _, f := range vaultFlags {
		if names != nil && !slices.Contains(names, f.name) {
			continue
		}
		for _, value := range s.flag(f.name) {
			word := shellWord(value)
			if f.shown != nil && f.shown(value) != value {
				word = f.placeholder
			}
			text += " --" + f.name + " " + word
		}
	}
	return text
}

// mirrorCopy returns the start of a command that copies between a mirror and the first store of the profile, and
// the words for the two stores. The user writes the mirror. The first store is the profile, which selects the
// tenant, the keys and so on, or a URL if flags or variables of this run select them: copy takes them only
// if both stores are URLs.
func (s *session) mirrorCopy() (start, mirror, first string) {
	set, err := s.settings()
	if err != nil {
		return s.prog + " copy", "MIRROR", "FIRST"
	}
	if s.profileSuffices(set) {
		return s.selectOnly([]string{"config"}) + " copy", "MIRROR", shellWord(set.Profile)
	}
	if first = shellWord(set.Store.Text); shownURL(set.Store.Text) != set.Store.Text {
		first = "FIRST-URL"
	}
	return s.selectVault() + " copy", "MIRROR-URL", first // there is no --store: with it, a profile has no mirrors
}

// profileSuffices reports whether the settings that select objects and open them are all those of the profile.
func (s *session) profileSuffices(set config.Settings) bool {
	other, err := s.ofProfile(set.Profile)
	if err != nil {
		return false
	}
	p, err := other.settings()
	return err == nil && set.Tenant == p.Tenant && set.Collection == p.Collection && set.VaultID == p.VaultID &&
		set.Identity == p.Identity && slices.Equal(set.Keys, p.Keys)
}

// identityFlag is shownIdentity, and also shows which file or variable has the session of a broker.
func identityFlag(text string) string {
	address, session, ok := strings.Cut(text, "?session=")
	if ok && (strings.HasPrefix(session, "env:") || strings.HasPrefix(session, "file:")) && !strings.ContainsAny(session, "&#") {
		return shownIdentity(address) + "?session=" + session
	}
	return shownIdentity(text)
}

// command returns a command for a message, which uses the same vault as this run. The arguments must be
// words of a shell.
func (u *ui) command(format string, args ...any) string {
	return strings.TrimSpace(cmp.Or(u.selected, u.prog) + " " + fmt.Sprintf(format, args...))
}
