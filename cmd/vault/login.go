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
			"directory, with mode 0600. Until the credentials expire, commands with the same --store and\n" +
			"--tenant use them and need no token. login saves nothing else. No other command writes\n" +
			"credentials to disk.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " login --identity file:/run/token\n" +
			"   " + s.prog + " login --identity 'broker+https://broker.example?session=env:SESSION'",
		Action: s.action(s.logIn),
	}
}

func (s *session) logIn(ctx context.Context) error {
	identity, err := s.requireIdentity(ctx)
	if err != nil {
		return err
	}
	login, err := identity.logIn(ctx)
	if err != nil {
		return err
	}
	s.noteIfUnsynced(identity.cache.Dir)
	if s.json {
		return s.print(struct {
			Store   string    `json:"store"`
			Tenant  string    `json:"tenant"`
			Role    string    `json:"role"`
			Expires time.Time `json:"credentials_expire"`
		}{login.Store, login.Tenant, login.Role, login.Expires.UTC()})
	}
	s.note("logged in to %s as tenant %s until %s", shownURL(identity.set.Store.Text), login.Tenant, timestamp(login.Expires))
	return nil
}

// roleHint describes the stores that use an identity.
const roleHint = "set --store or OBJECTVAULT_STORE to a URL with a role: s3://BUCKET?role=arn:aws:iam::ACCOUNT:role/NAME or cos://BUCKET-APPID?region=REGION&provider=NAME&role=qcs::cam::uin/UIN:roleName/NAME"

// requireIdentity returns the identity for login and logout, and an error if the store uses none.
func (s *session) requireIdentity(ctx context.Context) (*identity, error) {
	if _, err := s.arguments(0, 0); err != nil {
		return nil, err
	}
	s.aboutIdentity = true
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, set)
	if err != nil {
		return nil, err
	}
	if p.identity == nil {
		return nil, hint(usagef("this store does not support login, because its URL has no role"), roleHint)
	}
	return p.identity, nil
}
