package main

import (
	"context"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/aws"
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
	who := &identity{session: s, set: set, role: role.ARN}
	if role.ARN != "" {
		who.exchange = func(ctx context.Context) (federation.Exchanger, error) { return aws.NewExchanger(ctx, role) }
		who.explain = aws.Explain
		who.audience = u.query.Get("audience")
		if who.audience == "" && role.Endpoint == "" {
			who.audience = "sts.amazonaws.com"
		}
		if tag := u.query.Get("tag"); tag != "" {
			who.tags = []string{tag}
		}
	} else if set.Identity.Text != "" {
		return nil, hint(usagef("%s: an identity takes a role, and the URL of the store has none", set.Identity.From),
			"write s3://%s?role=arn:aws:iam::ACCOUNT:role/NAME", u.Host)
	}
	cl := &cloud{clinic: clinic{
		clock: func(ctx context.Context) (time.Time, error) { return aws.ServerTime(ctx, c) },
		large: 9 << 20, // past one part
	}}
	p, err := s.planCloud(ctx, who, cl, func(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
		c := c
		c.Identity = p
		return aws.Open(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	c.Identity = who.provider
	cl.inspect = func(ctx context.Context) []doctor.Line {
		settings, err := aws.Inspect(ctx, c)
		return settingLines(settings, func(s aws.Setting) setting { return setting(s) }, err)
	}
	cl.caller = func(ctx context.Context) (bearer, error) {
		who, err := aws.WhoAmI(ctx, c, role.Endpoint)
		if r := aws.Explain(err); r != nil {
			err = tagged{r, err}
		}
		return bearer{From: who.From, ARN: who.ARN, Account: who.Account, CredentialsExpire: moment(who.Expires)}, asUsage(err)
	}
	return p, nil
}

// readS3 reads the parameters. What they may be together is package aws's to say.
func (s *session) readS3(set config.Settings, u storeURL) (c aws.Config, r aws.Role, err error) {
	if u.Host == "" || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return c, r, u.bad("write s3://BUCKET?region=REGION")
	}
	if err := u.takes("region", "endpoint", "path_style", "insecure", "role", "session", "duration", "sts_endpoint", "audience", "tag"); err != nil {
		return c, r, err
	}
	get := u.query.Get
	c = aws.Config{Bucket: u.Host, Region: get("region"), Endpoint: get("endpoint"), Timeout: set.Timeout}
	for name, to := range map[string]*bool{"path_style": &c.PathStyle, "insecure": &c.Insecure} {
		if *to, err = u.truth(name); err != nil {
			return c, r, err
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
		if err := u.without("role", "session", "duration", "audience", "tag"); err != nil {
			return c, r, err
		}
	}
	r.Duration, err = u.duration("duration")
	return c, r, err
}
