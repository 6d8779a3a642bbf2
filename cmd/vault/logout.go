package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

func logoutCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "logout",
		Usage:     "remove the credentials that login saved",
		UsageText: s.prog + " logout",
		Description: "Removes the credentials that login saved for the same --store and --tenant. It does not revoke\n" +
			"them: a copy of the file stays valid until the credentials expire.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " logout",
		Action: s.action(s.logOut),
	}
}

func (s *session) logOut(ctx context.Context) error {
	identity, err := s.requireIdentity(ctx)
	if err != nil {
		return err
	}
	removed, err := identity.logOut()
	if err != nil {
		return err
	}
	if s.json {
		return s.print(struct {
			LoggedOut bool `json:"logged_out"`
		}{removed})
	}
	if removed {
		s.note("logged out of %s", shownURL(identity.set.Store.Text))
	} else {
		s.note("no credentials for %s were saved", shownURL(identity.set.Store.Text))
	}
	return nil
}
