// Package aws keeps the objects of a vault in an S3 bucket, on AWS or on a server that
// speaks S3.
//
// Its credentials come from the exchange of an OIDC token ([NewExchanger], package federation), or
// from the default chain of the SDK: environment, profile, SSO, instance role, EKS.
//
//	exchange, err := aws.NewExchanger(ctx, aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1"})
//	source, err := federation.ParseSource("file:/run/token", nil)
//	store, err := aws.Open(ctx, aws.Config{
//		Bucket: "vault", Region: "eu-central-1",
//		Identity: federation.NewProvider(source, exchange, &federation.Options{
//			// A token for another audience or tenant is never sent.
//			Expect: federation.Expectation{Audience: "sts.amazonaws.com", Tenant: tenant},
//		}),
//	})
//
// The set-up of the bucket decides which features the store has. With versioning it has history.
// Create-only and compare-and-swap are S3's conditional writes (If-None-Match, If-Match), also for
// multipart uploads. A server that ignores these headers overwrites objects: run the conformance
// suite, or "vault doctor", on a server that is not AWS.
//
// A write of more than 9 MiB is a multipart upload with parts of 8 MiB, three at a time and at most
// 10,000: 78 GiB. It needs about 70 MiB of memory. If it fails, or its context ends, it is aborted. A
// process that is killed leaves parts, which a lifecycle rule removes
// (AbortIncompleteMultipartUpload). Writes to the Store's Bucket itself use gocloud's driver, which
// leaves the parts of a cancelled upload.
//
// BUG(objectvault): gocloud lists a key that contains __0xHEX__, which no vault writes, with the
// character of that number instead, and a teardown does not remove it.
//
// BUG(objectvault): the SDK's transfer manager writes a line to the standard logger when
// the last request of an upload fails, a refused create included.
package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
)

// Config says which bucket, and as whom. Bucket is required.
type Config struct {
	Bucket string
	// Region is where the bucket is. Empty: what the SDK's environment or profile says,
	// or us-east-1 where there is an Endpoint.
	Region string
	// Endpoint is the URL of a server that is not AWS. It implies PathStyle, unless VirtualHost is
	// set, and Content-MD5 instead of S3's newer checksums, unless it is an endpoint of AWS. Empty:
	// the endpoint of the SDK's environment or profile, or AWS.
	Endpoint  string
	PathStyle bool
	// VirtualHost asks an Endpoint for the bucket by host name, https://BUCKET.HOST: some services
	// know it by no other. An Endpoint that is an IP address has no such names.
	VirtualHost bool
	// SSE is the header by which each write asks for encryption at rest, for buckets whose policy
	// demands it: AES256, aws:kms or aws:kms:dsse. Empty: the bucket's own setting. KMSKey is the
	// ARN of the key, with aws:kms.
	SSE, KMSKey string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool

	// STSEndpoint is the URL of an STS in place of AWS's own, for [vault.Cloud]. It is not used
	// with an Endpoint.
	STSEndpoint string

	// Identity gives the credentials. Nil: Static, or else the SDK's default chain.
	Identity *federation.Provider
	// Static gives the credentials where there is no Identity.
	Static aws.CredentialsProvider

	// Timeout is how long a connection may make no progress; 0 means 30 seconds.
	Timeout time.Duration
}

// Open returns the store in a bucket. It makes no request for it, except what the SDK's
// default chain does to find out region and credentials.
func Open(ctx context.Context, c Config) (*vault.Store, error) {
	if c.Bucket == "" {
		return nil, fmt.Errorf("%w: a bucket is needed", vault.ErrConfig)
	}
	if strings.HasSuffix(c.Bucket, "--x-s3") {
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-overview.html
		return nil, fmt.Errorf("%w: %s is a directory bucket, which lists without order and keeps no versions: use another one", vault.ErrConfig, c.Bucket)
	}
	if strings.HasPrefix(c.Bucket, "arn:") {
		return nil, accessPoint()
	}
	if err := c.checkEncryption(); err != nil {
		return nil, err
	}
	cfg, err := load(ctx, &c)
	if err != nil {
		return nil, err
	}
	client, err := newClient(cfg, c)
	if err != nil {
		return nil, err
	}
	s := &store{bucket: c.Bucket, client: client, other: c.Endpoint != "" && !isAWS(c.Endpoint), sums: cfg.RequestChecksumCalculation, sse: types.ServerSideEncryption(c.SSE)}
	if c.KMSKey != "" {
		s.key = &c.KMSKey
	}
	bucket, err := s3blob.OpenBucket(ctx, s.client, c.Bucket, &s3blob.Options{
		RequestChecksumCalculation: cfg.RequestChecksumCalculation, EncryptionType: s.sse, KMSEncryptionID: c.KMSKey,
	})
	if err != nil {
		return nil, err
	}
	closed := new(atomic.Bool)
	return &vault.Store{
		Bucket:  bucket,
		Name:    "s3://" + c.Bucket,
		Put:     s,
		Create:  s,
		Swap:    s,
		History: s,
		Remover: s,
		Purge:   s,
		Cloud:   &cloud{s, c, cfg},
		Tag:     tag,
		Explain: explain,
		Closed:  closed.Load,
		Close: func() error {
			closed.Store(true)
			defer closeIdle(cfg.HTTPClient)
			return bucket.Close()
		},
	}, nil
}

func (c Config) checkEncryption() error {
	switch {
	case !slices.Contains([]string{"", "AES256", "aws:kms", "aws:kms:dsse"}, c.SSE):
		return fmt.Errorf("%w: sse is AES256, aws:kms or aws:kms:dsse", vault.ErrConfig)
	case c.KMSKey != "" && !strings.HasPrefix(c.SSE, "aws:kms"):
		return fmt.Errorf("%w: a key of KMS needs sse=aws:kms", vault.ErrConfig)
	}
	return nil
}

// store is the bucket beyond what s3blob does with it.
type store struct {
	bucket string
	client *s3.Client
	sums   aws.RequestChecksumCalculation
	sse    types.ServerSideEncryption
	key    *string     // of KMS
	other  bool        // the server is not AWS: see dialects.go, and [order] for its lists of versions
	single atomic.Bool // it deletes no more than one object in a request
}

// tag is the ETag of what r reads, as S3 writes it: in quotes.
func tag(r *blob.Reader) string {
	var out s3.GetObjectOutput
	if !r.As(&out) {
		return ""
	}
	return aws.ToString(out.ETag)
}
