package aws

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/vault"
)

// awsHosts are the domains of the endpoints of AWS, including VPC endpoints. In the SDK they are the DNS
// suffixes of the partitions.
var awsHosts = []string{"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws", "api.amazonwebservices.com.cn", "c2s.ic.gov", "sc2s.sgov.gov"}

// isAWS reports whether an endpoint belongs to AWS. Other servers have other dialects of S3.
func isAWS(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && slices.ContainsFunc(awsHosts, func(domain string) bool {
		return u.Hostname() == domain || strings.HasSuffix(u.Hostname(), "."+domain)
	})
}

// EnvironmentEndpoints returns the endpoints of S3 and STS in the environment variables of the SDK, if
// they do not belong to AWS. [Open] uses them as if they were set in [Config].
func EnvironmentEndpoints(getenv func(string) string) (s3, sts string) {
	if strings.EqualFold(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return "", ""
	}
	endpointOf := func(service string) string {
		for _, name := range []string{"AWS_ENDPOINT_URL_" + service, "AWS_ENDPOINT_URL"} {
			if endpoint := getenv(name); endpoint != "" && !isAWS(endpoint) {
				return endpoint
			} else if endpoint != "" {
				return ""
			}
		}
		return ""
	}
	return endpointOf("S3"), endpointOf("STS")
}

// configuredEndpoint returns the endpoint of S3 that the SDK found in environment variables or a profile,
// if it does not belong to AWS.
func configuredEndpoint(cfg aws.Config) string {
	endpoint := aws.ToString(s3.NewFromConfig(cfg).Options().BaseEndpoint)
	if endpoint == "" || isAWS(endpoint) {
		return ""
	}
	return endpoint
}

// errAccessPoint returns the error for the ARN of an access point in place of a bucket.
func errAccessPoint() error {
	return &configError{"the ARN of an access point cannot be used as the name of a bucket: use the alias of the access point, which ends in -s3alias (aws s3control get-access-point shows it)"}
}

// A configError is a [vault.ErrConfig] with a text.
type configError struct{ text string }

func (e *configError) Error() string { return vault.ErrConfig.Error() + ": " + e.text }
func (e *configError) Unwrap() error { return vault.ErrConfig }

// unsignedEncoding removes Accept-Encoding from the signature of the SDK. Proxies in front of servers that
// are not AWS rewrite this header, which would make every signature invalid.
func unsignedEncoding(s *middleware.Stack) error {
	const header = "Accept-Encoding"
	var kept keptHeader
	before := middleware.FinalizeMiddlewareFunc("objectvault:HideEncoding", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			ctx = middleware.WithStackValue(ctx, kept, r.Header.Get(header))
			r.Header.Del(header)
		}
		return next.HandleFinalize(ctx, in)
	})
	after := middleware.FinalizeMiddlewareFunc("objectvault:ShowEncoding", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		value, _ := middleware.GetStackValue(ctx, kept).(string)
		if r, ok := in.Request.(*smithyhttp.Request); ok && value != "" {
			r.Header.Set(header, value)
		}
		return next.HandleFinalize(ctx, in)
	})
	if err := s.Finalize.Insert(before, "Signing", middleware.Before); err != nil {
		return err
	}
	return s.Finalize.Insert(after, "Signing", middleware.After)
}

type keptHeader struct{}
