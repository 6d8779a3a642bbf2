package main

import (
	"cmp"
	"fmt"
	"strings"
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
func (s *session) selectVault() string {
	text := s.prog
	for _, f := range vaultFlags {
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
