package vaulturl

import (
	"context"
	"net/url"
	"strings"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// parseCOS parses the URL of a store in Tencent COS. Package tencent checks combinations of
// parameters.
//
// Without a role and an identity, the credentials are TENCENTCLOUD_SECRET_ID, _SECRET_KEY and
// _TOKEN from the environment. If the first two are not set, the store exchanges the token of a
// TKE pod.
func parseCOS(u parsedURL, o *Options) (*Location, error) {
	if u.Host == "" || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return nil, bad("the URL must have the form cos://BUCKET-APPID?region=REGION")
	}
	if err := u.onlyFilled("region", "endpoint", "insecure", "parallel", "role", "provider", "session", "duration", "sts_endpoint", "audience"); err != nil {
		return nil, err
	}
	get := u.query.Get
	c := tencent.Config{Bucket: u.Host, Region: get("region"), Endpoint: get("endpoint"), Timeout: o.Timeout}
	var err error
	if c.Insecure, err = u.boolean("insecure"); err != nil {
		return nil, err
	}
	if c.Parallel, err = u.parallel(); err != nil {
		return nil, err
	}
	if err := checkCOSEndpoint(c); err != nil {
		return nil, err
	}
	role := tencent.Role{
		ARN: get("role"), Provider: get("provider"), Session: get("session"), Region: c.Region,
		Endpoint: get("sts_endpoint"), Insecure: c.Insecure, Timeout: o.Timeout,
	}
	if role.Endpoint == "" && onThisMachine(c.Endpoint) {
		role.Endpoint = c.Endpoint // only a test server has its STS at the same address
	}
	c.STSEndpoint = role.Endpoint
	switch {
	case role.ARN == "":
		err = u.without("role", "provider", "session", "duration", "audience")
	case role.Provider == "":
		err = bad("role= also requires provider=, the name of the OIDC provider in CAM")
	}
	if err != nil {
		return nil, err
	}
	if role.Duration, err = u.duration("duration"); err != nil {
		return nil, err
	}
	l := &Location{Scheme: u.Scheme, Bucket: u.Host, endpoint: c.Endpoint, Audience: get("audience"), PerRole: true, explain: tencent.Explain, options: o}
	if role.ARN == "" && o.Identity == "" && o.Getenv != nil && o.Getenv("TENCENTCLOUD_SECRET_ID") == "" && o.Getenv("TENCENTCLOUD_SECRET_KEY") == "" {
		if tke, file, ok := tencent.TKE(o.Getenv); ok {
			role.ARN, role.Provider, role.Region = tke.ARN, tke.Provider, tke.Region
			l.Identity, l.IdentityFrom = "file:"+file, "TKE_WEB_IDENTITY_TOKEN_FILE"
		}
	}
	l.Role = role.ARN
	if role.ARN != "" {
		l.exchange = func(context.Context) (federation.Exchanger, error) { return tencent.NewExchanger(role) }
	}
	l.open = func(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
		c := c
		c.Identity = p
		return tencent.Open(ctx, c)
	}
	return l, nil
}

// cosHost matches the host of a bucket at Tencent (436/6224).
var cosHost = text.NewRegexp(`(?i)^([a-z0-9-]+)\.(?:cos|cos-internal)\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)$`)

// checkCOSEndpoint rejects an endpoint of Tencent that belongs to another bucket or region than the
// URL.
func checkCOSEndpoint(c tencent.Config) error {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil // package tencent reports the error
	}
	host := cosHost.FindStringSubmatch(endpoint.Hostname())
	switch {
	case host == nil:
	case !strings.EqualFold(host[1], c.Bucket):
		return bad("endpoint= belongs to bucket %s, but the bucket of the URL is %s", host[1], c.Bucket)
	case c.Region != "" && host[2] != "accelerate" && !strings.EqualFold(host[2], c.Region):
		return bad("endpoint= is in region %s, but region= is %s", host[2], c.Region)
	}
	return nil
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && loopback.Host(u.Hostname())
}
