package aws

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/objectvault/objectvault/internal/requestid"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// load reads the configuration of the SDK: the region, the CA bundle of AWS_CA_BUNDLE and, if none were
// given, the credentials. If it contains an endpoint that is not AWS, load sets it in c.
func load(ctx context.Context, c *Config) (aws.Config, error) {
	if err := checkEndpoint("endpoint", c.Endpoint, c.Insecure); err != nil {
		return aws.Config{}, err
	}
	if err := checkEndpoint("sts_endpoint", c.STSEndpoint, c.Insecure); err != nil {
		return aws.Config{}, err
	}
	var given aws.CredentialsProvider
	renew := func(context.Context, string) bool { return true } // Static is called for every request
	switch {
	case c.Identity != nil:
		given = federated{c.Identity}
		renew = func(_ context.Context, id string) bool { c.Identity.Expired(id); return true }
	case c.Static != nil:
		given = c.Static
	}
	cfg, err := loadConfig(ctx, c.Region, given, c.Timeout)
	if err != nil {
		return aws.Config{}, err
	}
	if c.Endpoint == "" {
		c.Endpoint = configuredEndpoint(cfg)
		if err := checkEndpoint("the SDK's endpoint for S3", c.Endpoint, c.Insecure); err != nil {
			return aws.Config{}, err
		}
	}
	if err := requireRegion(&cfg, c.Endpoint); err != nil {
		return aws.Config{}, err
	}
	if given != nil {
		cfg.Credentials = given // without the cache of the SDK, because the provider has one
	} else {
		if cache, ok := cfg.Credentials.(*aws.CredentialsCache); ok {
			renew = func(ctx context.Context, id string) bool {
				cache.Invalidate()
				other, err := cache.Retrieve(ctx)
				return err == nil && other.AccessKeyID != id
			}
		}
		cfg.Credentials = chain{cfg.Credentials}
	}
	cfg.Credentials = callerBound{cfg.Credentials}
	cfg.APIOptions = append(cfg.APIOptions, retryExpired(renew))
	if c.Endpoint != "" && !isAWS(c.Endpoint) { // see dialects.go
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		cfg.APIOptions = append(cfg.APIOptions, unsignedEncoding)
	}
	return cfg, nil
}

// fixEndpoint sets the configured endpoint of a client. If there is none, it checks the endpoint that the
// SDK found in AWS_ENDPOINT_URL or in a profile.
func fixEndpoint(what string, configured string, insecure bool, to **string) error {
	if configured != "" {
		*to = aws.String(configured)
		return nil
	}
	return checkEndpoint(what, aws.ToString(*to), insecure)
}

// requireRegion returns an error if the configuration has no region. If there is an endpoint, it sets a
// default region.
func requireRegion(cfg *aws.Config, endpoint string) error {
	switch {
	case cfg.Region != "":
	case endpoint != "":
		cfg.Region = "us-east-1"
	default:
		return fmt.Errorf("%w: no region for the bucket: set region=, AWS_REGION, or a profile with a region", vault.ErrConfig)
	}
	return nil
}

// loadConfig loads the configuration of the SDK with an HTTP client for timeout. given may be nil, and
// timeout may be 0.
func loadConfig(ctx context.Context, region string, given aws.CredentialsProvider, timeout time.Duration) (aws.Config, error) {
	// Use the client type of the SDK, so that the SDK can add the CA bundle. The credential providers
	// of the SDK keep this client.
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { transport.Configure(t, timeout) })
	metadata := newMetadata(timeout)
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return newRetryer() }),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) {
			o.HTTPClient = client
			o.Retryer = newRetryer(retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusNotFound: {}}}) // like the default of the SDK
		}),
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = metadata }),
		config.WithLogger(logging.Nop{}), // a library does not write to standard error
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if given != nil {
		options = append(options, config.WithCredentialsProvider(given))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil && given != nil {
		// The profiles are only needed to find credentials. A missing profile or a broken file must
		// not cause an error if the caller supplies the credentials.
		cfg, err = withoutProfiles(region, err)
	}
	if err != nil {
		return aws.Config{}, fmt.Errorf("%w: the configuration of the AWS SDK: %w", vault.ErrConfig, err)
	}
	metadata.use(cfg)
	base := transport.Default()
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		base = b.GetTransport()
	}
	transport.Configure(base, timeout)
	cfg.HTTPClient = &http.Client{
		Transport: requestid.Transport{Base: transport.Failures{Base: transport.Bodies{Base: base}}, Header: "X-Amz-Request-Id"},
		// A redirect means that the region is wrong. The signature would not be valid after it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cfg.APIOptions = append(cfg.APIOptions, prove)
	return cfg, nil
}

// withoutProfiles returns the configuration of the SDK from the environment variables only. It returns
// loadErr if the environment variables are wrong.
func withoutProfiles(region string, loadErr error) (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, loadErr
	}
	client := awshttp.NewBuildableClient()
	if env.CustomCABundle != "" {
		pem, err := os.ReadFile(env.CustomCABundle)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return aws.Config{}, loadErr
		}
		client = client.WithTransportOptions(func(t *http.Transport) {
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			t.TLSClientConfig.RootCAs = pool
		})
	}
	return aws.Config{
		Region: cmp.Or(region, env.Region), HTTPClient: client, Logger: logging.Nop{}, ConfigSources: []any{env},
		RequestChecksumCalculation: cmp.Or(env.RequestChecksumCalculation, aws.RequestChecksumCalculationWhenSupported),
		ResponseChecksumValidation: cmp.Or(env.ResponseChecksumValidation, aws.ResponseChecksumValidationWhenSupported),
	}, nil
}

func newClient(cfg aws.Config, c Config) (*s3.Client, error) {
	var err error
	var client *s3.Client
	cfg.APIOptions = append(slices.Clip(cfg.APIOptions), confirmAbsence(func() *s3.Client { return client }))
	client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		err = fixEndpoint("the SDK's endpoint for S3", c.Endpoint, c.Insecure, &o.BaseEndpoint)
		o.UsePathStyle = c.PathStyle || c.Endpoint != "" && !c.VirtualHost
		o.Retryer = newRetryer()
		o.DisableLogOutputChecksumValidationSkipped = true
		if c.Endpoint != "" {
			// If Ceph refuses a request with Expect: 100-continue, it reads the body of the request as
			// the next request, because net/http still sends the body.
			o.ContinueHeaderThresholdBytes = -1
		}
	})
	return client, err
}

func closeIdle(c aws.HTTPClient) {
	if c, ok := c.(*http.Client); ok {
		c.CloseIdleConnections()
	}
}

func checkEndpoint(param, text string, insecure bool) error {
	if err := transport.CheckEndpoint(param, text, "https://s3.example.com", insecure); err != nil {
		return fmt.Errorf("%w: %w", vault.ErrConfig, err)
	}
	return nil
}
