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

	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// load reads the SDK's configuration: region, credentials if none were given, the CA
// bundle of AWS_CA_BUNDLE, and an endpoint that is not AWS's, which is added to c.
func load(ctx context.Context, c *Config) (aws.Config, error) {
	if err := checkEndpoint("endpoint", c.Endpoint, c.Insecure); err != nil {
		return aws.Config{}, err
	}
	if err := checkEndpoint("sts_endpoint", c.STSEndpoint, c.Insecure); err != nil {
		return aws.Config{}, err
	}
	var own aws.CredentialsProvider
	renew := func(context.Context, string) bool { return true } // Static is asked for every request
	switch {
	case c.Identity != nil:
		own = federated{c.Identity}
		renew = func(_ context.Context, id string) bool { c.Identity.Expired(id); return true }
	case c.Static != nil:
		own = c.Static
	}
	cfg, err := loadConfig(ctx, c.Region, own, c.Timeout)
	if err != nil {
		return aws.Config{}, err
	}
	if c.Endpoint == "" {
		c.Endpoint = configuredEndpoint(cfg)
		if err := checkEndpoint("the SDK's endpoint for S3", c.Endpoint, c.Insecure); err != nil {
			return aws.Config{}, err
		}
	}
	if err := needRegion(&cfg, c.Endpoint); err != nil {
		return aws.Config{}, err
	}
	if own != nil {
		cfg.Credentials = own // without the SDK's cache: the provider has one
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
	cfg.Credentials = punctual{cfg.Credentials}
	cfg.APIOptions = append(cfg.APIOptions, onceMore(renew))
	if c.Endpoint != "" && !isAWS(c.Endpoint) { // see dialects.go
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		cfg.APIOptions = append(cfg.APIOptions, unsignedEncoding)
	}
	return cfg, nil
}

// fixEndpoint gives a client the configured endpoint, or else holds the one that the SDK
// found, in AWS_ENDPOINT_URL or a profile, to the same rule.
func fixEndpoint(what string, ours string, insecure bool, to **string) error {
	if ours != "" {
		*to = aws.String(ours)
		return nil
	}
	return checkEndpoint(what, aws.ToString(*to), insecure)
}

// needRegion refuses a configuration without a region, which a server at an endpoint of its own does
// not need.
func needRegion(cfg *aws.Config, endpoint string) error {
	switch {
	case cfg.Region != "":
	case endpoint != "":
		cfg.Region = "us-east-1"
	default:
		return fmt.Errorf("%w: in which region is the bucket? say so with region=, AWS_REGION or a profile", vault.ErrConfig)
	}
	return nil
}

// loadConfig loads the SDK's configuration with our HTTP client. own may be nil, timeout 0.
func loadConfig(ctx context.Context, region string, own aws.CredentialsProvider, timeout time.Duration) (aws.Config, error) {
	// The SDK's own client, so that it can add the CA bundle. What finds credentials keeps it.
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { transport.Configure(t, timeout) })
	metadata := newMetadata(timeout)
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return repeating() }),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) {
			o.HTTPClient = client
			o.Retryer = repeating(retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusNotFound: {}}}) // as the SDK's own
		}),
		config.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = metadata }),
		config.WithLogger(logging.Nop{}), // a library does not write to standard error
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if own != nil {
		options = append(options, config.WithCredentialsProvider(own))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil && own != nil {
		// Profiles are for finding credentials. One that is gone, or a file that is broken, is no
		// reason to fail for who brings them.
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
		Transport: transport.Failures{Base: transport.Bodies{Base: base}},
		// A redirect tells a wrong region, and a signature does not survive it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cfg.APIOptions = append(cfg.APIOptions, prove)
	return cfg, nil
}

// withoutProfiles returns the SDK's configuration as the environment alone has it. It returns why
// where it is the environment that is wrong.
func withoutProfiles(region string, why error) (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, why
	}
	client := awshttp.NewBuildableClient()
	if env.CustomCABundle != "" {
		pem, err := os.ReadFile(env.CustomCABundle)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return aws.Config{}, why
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
		o.Retryer = repeating()
		o.DisableLogOutputChecksumValidationSkipped = true
		if c.Endpoint != "" {
			// A Ceph that refuses a request with Expect: 100-continue takes its body for the
			// next one: net/http sends it nevertheless, and the SDK's does not wait at all.
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
