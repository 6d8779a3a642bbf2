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
	who, err := s.who(ctx)
	if err != nil {
		return err
	}
	was, err := who.logOut()
	if err != nil {
		return err
	}
	if s.json {
		return s.print(struct {
			LoggedOut bool `json:"logged_out"`
		}{was})
	}
	if was {
		s.note("logged out of %s", shownURL(who.set.Store.Text))
	} else {
		s.note("no login to %s was saved", shownURL(who.set.Store.Text))
	}
	return nil
}
