package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
)

func loginCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "login",
		Usage:     "exchange a token and save the credentials until they expire",
		UsageText: s.prog + " login --identity SOURCE",
		Description: "Exchanges the token of --identity and saves the temporary credentials in a file in the state\n" +
			"directory, with mode 0600. Commands with the same --store and --tenant use them, and need no\n" +
			"token until they expire. Nothing else is saved, and without login no credentials are written\n" +
			"to disk.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " login --identity file:/run/token\n" +
			"   " + s.prog + " login --identity 'broker+https://broker.example?session=env:SESSION'",
		Action: s.action(s.logIn),
	}
}

func (s *session) logIn(ctx context.Context) error {
	who, err := s.who(ctx)
	if err != nil {
		return err
	}
	login, err := who.logIn(ctx)
	if err != nil {
		return err
	}
	s.wrote(who.cache.Dir)
	if s.json {
		return s.print(struct {
			Store   string    `json:"store"`
			Tenant  string    `json:"tenant"`
			Role    string    `json:"role"`
			Expires time.Time `json:"credentials_expire"`
		}{login.Store, login.Tenant, login.Role, login.Expires.UTC()})
	}
	s.note("logged in to %s as tenant %s until %s", shownURL(who.set.Store.Text), login.Tenant, timestamp(login.Expires))
	return nil
}

// who is the identity of a command that is about nothing else.
func (s *session) who(ctx context.Context) (*identity, error) {
	if _, err := s.arguments(0, 0); err != nil {
		return nil, err
	}
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, set)
	if err != nil {
		return nil, err
	}
	if p.identity == nil {
		return nil, hint(usagef("this store has no login"), "use a store with a role: s3://BUCKET?role=arn:aws:iam::ACCOUNT:role/NAME or cos://BUCKET-APPID?region=REGION&provider=NAME&role=qcs::cam::uin/UIN:roleName/NAME")
	}
	return p.identity, nil
}
