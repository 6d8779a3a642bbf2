package main

import (
	"context"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// planCOS reads the URL of a store in Tencent COS:
//
//	cos://BUCKET-APPID?region= endpoint= insecure=true
//	                   role= provider= session= duration= sts_endpoint= audience=
//
// Without a role and without an identity the credentials are the TENCENTCLOUD_SECRET_ID,
// _SECRET_KEY and _TOKEN of the environment; where the first two are not set, they are what
// a pod of TKE exchanges its token for.
func (s *session) planCOS(ctx context.Context, set config.Settings, u storeURL) (*plan, error) {
	c, role, err := s.readCOS(set, u)
	if err != nil {
		return nil, err
	}
	if role.ARN == "" && set.Identity.Text == "" && s.getenv("TENCENTCLOUD_SECRET_ID") == "" && s.getenv("TENCENTCLOUD_SECRET_KEY") == "" {
		if tke, file, ok := tencent.TKE(s.getenv); ok {
			role.ARN, role.Provider, role.Region = tke.ARN, tke.Provider, tke.Region
			set.Identity = config.Value{Text: "file:" + file, From: "TKE_WEB_IDENTITY_TOKEN_FILE"}
		}
	}
	who := &identity{session: s, set: set, role: role.ARN, audience: u.query.Get("audience"), perRole: true}
	if role.ARN != "" {
		who.exchange = func(context.Context) (federation.Exchanger, error) { return tencent.NewExchanger(role) }
		who.explain = tencent.Explain
	} else if set.Identity.Text != "" {
		return nil, hint(usagef("%s: an identity takes a role, and the URL of the store has none", set.Identity.From),
			"write cos://%s?region=REGION&provider=NAME&role=qcs::cam::uin/UIN:roleName/NAME", u.Host)
	}
	cl := &cloud{clinic: clinic{
		clock: func(ctx context.Context) (time.Time, error) { return tencent.ServerTime(ctx, c) },
		large: 9 << 20, // past one part
	}}
	p, err := s.planCloud(ctx, who, cl, func(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
		c := c
		c.Identity = p
		return tencent.Open(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	c.Identity = who.provider
	cl.inspect = func(ctx context.Context) []doctor.Line {
		settings, err := tencent.Inspect(ctx, c)
		return settingLines(settings, func(s tencent.Setting) setting { return setting(s) }, err)
	}
	cl.caller = func(ctx context.Context) (bearer, error) {
		who, err := tencent.WhoAmI(ctx, c, role.Endpoint)
		return bearer{From: who.From, ARN: who.ARN, Account: who.Account, CredentialsExpire: moment(who.Expires)}, asUsage(err)
	}
	who.caller = cl.caller
	if cl.clinic.identity == nil {
		cl.clinic.identity = func(ctx context.Context) []doctor.Line { return []doctor.Line{examineKeys(ctx, cl.caller)} }
	}
	return p, nil
}

// readCOS reads the parameters. What they may be is package tencent's to say.
func (s *session) readCOS(set config.Settings, u storeURL) (c tencent.Config, r tencent.Role, err error) {
	if u.Host == "" || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return c, r, u.bad("write cos://BUCKET-APPID?region=REGION")
	}
	if err := u.takes("region", "endpoint", "insecure", "role", "provider", "session", "duration", "sts_endpoint", "audience"); err != nil {
		return c, r, err
	}
	get := u.query.Get
	c = tencent.Config{Bucket: u.Host, Region: get("region"), Endpoint: get("endpoint"), Timeout: set.Timeout}
	if c.Insecure, err = u.truth("insecure"); err != nil {
		return c, r, err
	}
	if err := u.agrees(c); err != nil {
		return c, r, err
	}
	r = tencent.Role{
		ARN: get("role"), Provider: get("provider"), Session: get("session"), Region: c.Region,
		Endpoint: get("sts_endpoint"), Insecure: c.Insecure, Timeout: set.Timeout,
	}
	if r.Endpoint == "" && onThisMachine(c.Endpoint) {
		r.Endpoint = c.Endpoint // a test server has its STS in the same place; no other host of COS does
	}
	switch {
	case r.ARN == "":
		err = u.without("role", "provider", "session", "duration", "audience")
	case r.Provider == "":
		err = u.bad("role= takes provider=, the name of the OIDC provider in CAM")
	}
	if err != nil {
		return c, r, err
	}
	r.Duration, err = u.duration("duration")
	return c, r, err
}

// cosHost is a bucket's host at Tencent (436/6224).
var cosHost = regexp.MustCompile(`(?i)^([a-z0-9-]+)\.(?:cos|cos-internal)\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)$`)

// agrees refuses an endpoint of Tencent's that is of another bucket, or in another region,
// than the URL says.
func (u storeURL) agrees(c tencent.Config) error {
	at, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil // the package says what is wrong with it
	}
	host := cosHost.FindStringSubmatch(at.Hostname())
	switch {
	case host == nil:
	case !strings.EqualFold(host[1], c.Bucket):
		return u.bad("endpoint= is of bucket %s, and the store of %s", host[1], c.Bucket)
	case c.Region != "" && host[2] != "accelerate" && !strings.EqualFold(host[2], c.Region):
		return u.bad("endpoint= is in region %s, and region= says %s", host[2], c.Region)
	}
	return nil
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
