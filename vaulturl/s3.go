package vaulturl

import (
	"cmp"
	"context"
	"strings"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// parseS3 parses the URL of a store in S3. Package aws checks combinations of parameters.
func parseS3(u parsedURL, o *Options) (*Location, error) {
	if u.Host == "" || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
		return nil, bad("the URL must have the form s3://BUCKET?region=REGION")
	}
	if err := u.onlyFilled("region", "endpoint", "path_style", "insecure", "parallel", "checksum", "sse", "kms_key", "role", "session", "duration", "sts_endpoint", "audience", "tag"); err != nil {
		return nil, err
	}
	get := u.query.Get
	c := aws.Config{Bucket: u.Host, Region: get("region"), Endpoint: get("endpoint"), Timeout: o.Timeout}
	for name, to := range map[string]*bool{"path_style": &c.PathStyle, "insecure": &c.Insecure} {
		var err error
		if *to, err = u.boolean(name); err != nil {
			return nil, err
		}
	}
	c.VirtualHost = u.query.Has("path_style") && !c.PathStyle
	c.SSE, c.KMSKey, c.Checksum = get("sse"), get("kms_key"), get("checksum")
	if c.KMSKey != "" && c.SSE == "" {
		return nil, bad("kms_key= also requires sse=aws:kms")
	}
	var sts string
	if o.Getenv != nil { // environment variables for endpoint= and sts_endpoint=
		var s3 string
		s3, sts = aws.EnvironmentEndpoints(o.Getenv)
		if err := checkEnvironment(o.Getenv, get, c.Insecure, s3, sts); err != nil {
			return nil, err
		}
		c.Endpoint = cmp.Or(c.Endpoint, s3)
	}
	role := aws.Role{
		ARN: get("role"), Session: get("session"), Region: c.Region,
		Endpoint: cmp.Or(get("sts_endpoint"), get("endpoint"), sts, c.Endpoint), // the STS of a server other than AWS has the same address
		Insecure: c.Insecure, Timeout: o.Timeout,
	}
	c.STSEndpoint = role.Endpoint
	l := &Location{Scheme: u.Scheme, Bucket: u.Host, endpoint: c.Endpoint, Role: role.ARN, explain: aws.Explain, options: o}
	l.open = func(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
		c := c
		c.Identity = p
		return aws.Open(ctx, c)
	}
	var err error
	if c.Parallel, err = u.parallel(); err != nil {
		return nil, err
	}
	if role.Duration, err = u.duration("duration"); err != nil {
		return nil, err
	}
	if role.ARN == "" {
		return l, u.without("role", "session", "duration", "audience", "tag")
	}
	l.exchange = func(ctx context.Context) (federation.Exchanger, error) { return aws.NewExchanger(ctx, role) }
	if l.Audience = get("audience"); l.Audience == "" && role.Endpoint == "" {
		l.Audience = "sts.amazonaws.com"
		if strings.HasPrefix(role.ARN, "arn:aws-cn:") { // issuers in China use either audience
			l.OtherAudiences = []string{"sts.amazonaws.com.cn"}
		}
	}
	if tag := get("tag"); tag != "" {
		l.TagKeys = []string{tag}
	}
	return l, nil
}

// checkEnvironment checks the endpoints in environment variables that the URL does not override. The
// error names the variable.
func checkEnvironment(getenv, get func(string) string, insecure bool, s3, sts string) error {
	for service, endpoint := range map[string]string{"S3": s3, "STS": sts} {
		if get("endpoint") != "" || service == "STS" && get("sts_endpoint") != "" {
			continue
		}
		name := "AWS_ENDPOINT_URL"
		if getenv(name+"_"+service) != "" {
			name += "_" + service
		}
		if err := transport.CheckEndpoint(name, endpoint, "https://s3.example.com", insecure); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}
