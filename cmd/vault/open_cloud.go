package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
)

// What the stores in a cloud have in common.

// A cloud is what a store's cloud tells about itself and about who we are.
type cloud struct {
	clinic             // what it tells doctor
	isolated bool      // it keeps tenants apart
	identity *identity // nil: credentials are found without one
	// caller asks who those are that were found.
	caller func(ctx context.Context) (bearer, error)
}

// An opener opens a store with the credentials of p, or, where that is nil, with those that
// the cloud's own tools would find.
type opener func(ctx context.Context, p *federation.Provider) (*vault.Store, error)

// planCloud is the plan of a store in a cloud. Without a role there is no identity.
func (s *session) planCloud(ctx context.Context, who *identity, c *cloud, open opener) (*plan, error) {
	c.isolated = true
	p := &plan{
		cloud:  c,
		tenant: func(context.Context) (vault.Tenant, error) { return vault.ParseTenant(who.set.Tenant.Text) },
		open: func(ctx context.Context) (*vault.Store, error) {
			store, err := open(ctx, who.provider)
			return store, asUsage(err)
		},
	}
	if who.role == "" {
		return p, nil
	}
	if err := who.prepare(ctx); err != nil {
		return nil, err
	}
	p.tenant = who.tenant
	c.identity, c.clinic.identity = who, who.examine
	return p, nil
}

// asUsage makes what a provider says of its configuration an error of the command line.
func asUsage(err error) error {
	if errors.Is(err, vault.ErrConfig) {
		return tagged{err, errUsage}
	}
	return err
}

// A setting is how a bucket is set up in one respect, as each provider tells it.
type setting struct {
	Name        string
	Known, Good bool
	Message     string
	Hint        string
	Err         error
}

// settingLines are the lines of doctor about the settings of a bucket.
func settingLines[S any](settings []S, as func(S) setting, err error) []doctor.Line {
	if err != nil {
		return []doctor.Line{failed("bucket-settings", err)}
	}
	var lines []doctor.Line
	for _, its := range settings {
		s := as(its)
		l := doctor.Line{Check: s.Name, Status: doctor.Warning, Message: s.Message, Hint: cmp.Or(s.Hint, reasonHint(s.Err))}
		switch {
		case !s.Known:
			l.Status = doctor.NotProven
		case s.Good:
			l.Status = doctor.OK
		}
		lines = append(lines, l)
	}
	return lines
}

// failed is the line of a check that ended with an error.
func failed(check string, err error) doctor.Line {
	r := explain("doctor", err)
	return doctor.Line{Check: check, Status: doctor.Fail, Message: check + ": " + r.Message, Hint: r.Hint}
}

// takes refuses parameters that are not known, there twice, or empty.
func (u storeURL) takes(known ...string) error {
	if err := u.only(known...); err != nil {
		return err
	}
	for name, values := range u.query {
		if values[0] == "" {
			return u.bad("parameter %q is empty: give it a value, or leave it out", name)
		}
	}
	return nil
}

// without refuses the parameters names, which say more about the absent one.
func (u storeURL) without(absent string, names ...string) error {
	for _, name := range names {
		if u.query.Has(name) {
			return u.bad("%s= is about a %s, and there is no %s=", name, absent, absent)
		}
	}
	return nil
}

// truth is a parameter that is true or false; false where it is not there.
func (u storeURL) truth(name string) (bool, error) {
	if !u.query.Has(name) {
		return false, nil
	}
	is, err := strconv.ParseBool(u.query.Get(name))
	if err != nil {
		return false, u.bad("%s is true or false", name)
	}
	return is, nil
}

// duration is a parameter that is a time; 0 where it is not there.
func (u storeURL) duration(name string) (time.Duration, error) {
	text := u.query.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, u.bad("%s=%s is not a time such as 1h or 15m", name, text)
	}
	return d, nil
}
