package aws

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/objectvault/objectvault/federation"
)

// SDKConfig returns the configuration of the SDK for a service other than S3, with the region, the CA
// bundle, the HTTP client and the credentials that [Open] would use. If region is empty, the SDK
// finds it. The credentials are those of p or, if p is nil, of the default chain of the SDK. If the
// returned credentials have the method Expired(accessKeyID string), the caller can call it to discard
// the current ones. The errors of the credentials wrap a sentinel of package federation if their
// source cannot be reached.
func SDKConfig(ctx context.Context, region string, p *federation.Provider, timeout time.Duration) (aws.Config, error) {
	var given aws.CredentialsProvider
	if p != nil {
		given = federated{p}
	}
	cfg, err := loadConfig(ctx, region, given, timeout)
	if err != nil {
		return aws.Config{}, err
	}
	cfg.APIOptions = nil // those of S3 and STS
	switch cache, cached := cfg.Credentials.(*aws.CredentialsCache); {
	case given != nil:
		cfg.Credentials = given // without the cache of the SDK, because the provider has one
	case cached:
		cfg.Credentials = cachedChain{chain{cache}, cache}
	default:
		cfg.Credentials = chain{cfg.Credentials}
	}
	return cfg, nil
}

// Expired discards the credentials with this access key id.
func (f federated) Expired(accessKeyID string) { f.p.Expired(accessKeyID) }

// A cachedChain is a chain whose cache can be discarded.
type cachedChain struct {
	chain
	cache *aws.CredentialsCache
}

func (c cachedChain) Expired(string) { c.cache.Invalidate() }
