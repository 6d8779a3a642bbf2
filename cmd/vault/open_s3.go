package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/config"
	"github.com/objectvault/objectvault/internal/doctor"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/providers/federation"
	"github.com/objectvault/objectvault/vault"
)

// planS3 reads the URL of a store in S3:
//
//	s3://BUCKET?region= endpoint= path_style= insecure=true
//	            role= session= duration= sts_endpoint= audience= tag=
func (s *session) planS3(ctx context.Context, set config.Settings, u storeURL) (*plan, error) {
	c, role, err := s.readS3(set, u)
	if err != nil {
		return nil, err
	}
	p := &plan{
		tenant: func(context.Context) (vault.Tenant, error) { return vault.ParseTenant(set.Tenant.Text) },
		cloud: &cloud{isolated: true, clinic: clinic{
			clock: func(ctx context.Context) (time.Time, error) { return aws.ServerTime(ctx, c) },
			large: 9 << 20, // past one part
		}},
	}
	who := &identity{session: s, set: set, role: role.ARN}
	switch {
	case role.ARN != "":
		who.exchange = func(ctx context.Context) (federation.Exchanger, error) { return aws.NewExchanger(ctx, role) }
		who.explain = aws.Explain
		who.audience = u.query.Get("audience")
		if who.audience == "" && role.Endpoint == "" {
			who.audience = "sts.amazonaws.com"
		}
		if tag := u.query.Get("tag"); tag != "" {
			who.tags = []string{tag}
		}
		if err := who.prepare(ctx); err != nil {
			return nil, err
		}
		c.Identity = who.provider
		p.tenant = who.tenant
		p.cloud.identity = who
		p.cloud.clinic.identity = who.examine
	case set.Identity.Text != "":
		return nil, hint(usagef("%s: an identity takes a role, and the URL of the store has none", set.Identity.From),
			"write s3://%s?role=arn:aws:iam::ACCOUNT:role/NAME", u.Host)
	}
	p.cloud.inspect = func(ctx context.Context) []doctor.Line { return inspectS3(ctx, c) }
	p.open = func(ctx context.Context) (*vault.Store, error) { return openS3(ctx, c) }
	p.cloud.store = p.open
	p.cloud.caller = func(ctx context.Context) (aws.Caller, error) {
		who, err := aws.WhoAmI(ctx, c, role.Endpoint)
		if r := aws.Explain(err); r != nil {
			err = tagged{r, err}
		}
		return who, asUsage(err)
	}
	p.cloud.other = func(ctx context.Context, source string) (*vault.Store, vault.Tenant, error) {
		return who.other(ctx, source, func(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
			other := c
			other.Identity = p
			return openS3(ctx, other)
		})
	}
	return p, nil
}

func openS3(ctx context.Context, c aws.Config) (*vault.Store, error) {
	store, err := aws.Open(ctx, c)
	return store, asUsage(err)
}

func inspectS3(ctx context.Context, c aws.Config) []doctor.Line {
	settings, err := aws.Inspect(ctx, c)
	if err != nil {
		return []doctor.Line{failed("bucket-settings", err)}
	}
	var lines []doctor.Line
	for _, s := range settings {
		l := doctor.Line{Check: s.Name, Status: doctor.Warning, Message: s.Message, Hint: s.Hint}
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

// readS3 reads the parameters. What they may be together is package aws's to say.
func (s *session) readS3(set config.Settings, u storeURL) (c aws.Config, r aws.Role, err error) {
	if u.Host == "" || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return c, r, u.bad("write s3://BUCKET?region=REGION")
	}
	if err := u.only("region", "endpoint", "path_style", "insecure", "role", "session", "duration", "sts_endpoint", "audience", "tag"); err != nil {
		return c, r, err
	}
	for name, values := range u.query {
		if values[0] == "" {
			return c, r, u.bad("parameter %q is empty", name)
		}
	}
	get := u.query.Get
	c = aws.Config{Bucket: u.Host, Region: get("region"), Endpoint: get("endpoint"), Timeout: set.Timeout}
	for name, to := range map[string]*bool{"path_style": &c.PathStyle, "insecure": &c.Insecure} {
		if !u.query.Has(name) {
			continue
		}
		if *to, err = strconv.ParseBool(get(name)); err != nil {
			return c, r, u.bad("%s is true or false", name)
		}
	}
	if c.Endpoint != "" && u.query.Has("path_style") && !c.PathStyle {
		return c, r, u.bad("path_style=false: a server with endpoint= is always asked in path style")
	}
	r = aws.Role{
		ARN: get("role"), Session: get("session"), Region: c.Region,
		Endpoint: get("sts_endpoint"), Insecure: c.Insecure, Timeout: set.Timeout,
	}
	if r.Endpoint == "" {
		r.Endpoint = c.Endpoint // a server that is not AWS has its STS in the same place
	}
	if r.ARN == "" {
		for _, name := range []string{"session", "duration", "audience", "tag"} {
			if u.query.Has(name) {
				return c, r, u.bad("%s= is about a role, and there is no role=", name)
			}
		}
	}
	if text := get("duration"); text != "" {
		if r.Duration, err = time.ParseDuration(text); err != nil {
			return c, r, u.bad("duration=%s is not a time such as 1h or 15m", text)
		}
	}
	return c, r, nil
}

// asUsage makes what a provider says of its configuration an error of the command line.
func asUsage(err error) error {
	if isConfig(err) {
		return tagged{err, errUsage}
	}
	return err
}
