package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"
)

func loginCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "login",
		Usage:     "exchange the identity's token and keep the credentials until they expire",
		UsageText: s.prog + " login --identity SOURCE",
		Description: "What is kept are the temporary credentials, in a file of your own below the state directory, and\n" +
			"nothing else: commands with the same --store and --tenant use them and need no token until they\n" +
			"expire. Without a login nothing of that kind touches the disk.\n\n" +
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
		return nil, hint(usagef("this store takes no login"), "a store that does has a role: s3://BUCKET?role=arn:aws:iam::ACCOUNT:role/NAME or cos://BUCKET-APPID?region=REGION&provider=NAME&role=qcs::cam::uin/UIN:roleName/NAME")
	}
	return p.identity, nil
}
