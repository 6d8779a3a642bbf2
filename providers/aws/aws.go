// Package aws keeps the objects of a vault in an S3 bucket, on AWS or on another server that supports
// the S3 API.
//
// Its credentials come from the exchange of an OIDC token ([NewExchanger], package federation) or
// from the default chain of the SDK: environment variables, profile, SSO, instance role, EKS.
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
// The configuration of the bucket decides which features the store has. With versioning it has
// history. Create-only and compare-and-swap use the conditional writes of S3 (If-None-Match,
// If-Match), also for multipart uploads. A server that ignores these headers overwrites objects: run
// the conformance suite or "vault doctor" if your server is not AWS.
//
// A write of more than 9 MiB is a multipart upload with parts of 5 MiB, of which ten are sent at a
// time (see Config.Parallel). After 8,000 parts they have 32 MiB, and fewer are sent at a time. The
// limit is 10,000 parts, or 101 GiB. If the upload fails, or its context ends, it is aborted. A
// process that is killed leaves parts. To delete them, the bucket needs a lifecycle rule
// (AbortIncompleteMultipartUpload). A program that writes directly to the Bucket of the Store uses
// the driver of gocloud.dev, which does not delete the parts of a cancelled upload.
//
// A rewrap of a large object is a multipart upload of which the client sends only the first part.
// S3 copies the other parts from the object itself, so the caller needs s3:GetObject and
// s3:PutObject for it, and no other permission.
//
// BUG(objectvault): gocloud.dev lists a key that contains __0xHEX__ with a different name, so a
// teardown does not delete the object. A vault never writes such keys.
package aws

import (
	"cmp"
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

// Config configures [Open]. Bucket is required.
type Config struct {
	Bucket string
	// Region is the region of the bucket. The default is the region of the SDK's environment
	// variables or profile, or us-east-1 if there is an Endpoint.
	Region string
	// Endpoint is the URL of the server, usually of one that is not AWS. It implies PathStyle,
	// unless VirtualHost is set. If the endpoint does not belong to AWS, writes send Content-MD5
	// instead of the newer checksums of S3: see Checksum. The default is the endpoint of the SDK's
	// environment variables or profile, or AWS.
	Endpoint string
	// PathStyle puts the bucket into the path, https://HOST/BUCKET, instead of the host name.
	PathStyle bool
	// VirtualHost puts the bucket into the host name, https://BUCKET.HOST. Some services require
	// this. It cannot be used with an Endpoint that is an IP address.
	VirtualHost bool
	// SSE requests encryption at rest with each write, for buckets whose policy requires this
	// header: AES256, aws:kms or aws:kms:dsse. If it is empty, the setting of the bucket applies.
	// KMSKey is the ARN of the key. It requires aws:kms or aws:kms:dsse.
	SSE, KMSKey string
	// Checksum is what a write sends to a server that is not AWS: md5, crc32 or none. The default is md5,
	// which all servers accept. crc32 needs much less time for large objects; some servers refuse it. Over
	// http the signature also covers a hash of the data, and over https TLS protects the data on its way.
	Checksum string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool

	// STSEndpoint is the URL of STS for [vault.Cloud], instead of the STS of AWS.
	STSEndpoint string

	// Identity supplies the credentials. If it is nil, Static supplies them. If both are nil,
	// they come from the default chain of the SDK.
	Identity *federation.Provider
	// Static supplies the credentials if Identity is nil.
	Static aws.CredentialsProvider

	// Timeout is the longest time without progress on a connection. The default is 30 seconds.
	Timeout time.Duration
	// Parallel is the number of requests at a time of one large write, and of all large reads of a Vault.
	// The default is 10. Each needs 5 MiB of memory.
	Parallel int
}

// Open returns the store in a bucket. It sends no request to the bucket. The default chain of the SDK
// may send requests to find the region and the credentials.
func Open(ctx context.Context, c Config) (*vault.Store, error) {
	if c.Bucket == "" {
		return nil, fmt.Errorf("%w: the name of the bucket is missing", vault.ErrConfig)
	}
	if strings.HasSuffix(c.Bucket, "--x-s3") {
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-overview.html
		return nil, fmt.Errorf("%w: %s is a directory bucket, which has no ordered lists and no versions: use a general purpose bucket", vault.ErrConfig, c.Bucket)
	}
	if strings.HasPrefix(c.Bucket, "arn:") {
		return nil, errAccessPoint()
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
	other := c.Endpoint != "" && !isAWS(c.Endpoint)
	s := &store{bucket: c.Bucket, client: client, copySize: copySize, parallel: cmp.Or(max(c.Parallel, 0), defaultParallel), other: other, sum: sumOf(c, other), sums: cfg.RequestChecksumCalculation, sse: types.ServerSideEncryption(c.SSE)}
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
		Bucket:    bucket,
		Name:      "s3://" + c.Bucket,
		Put:       s,
		Create:    s,
		Swap:      s,
		Splice:    s,
		History:   s,
		Remover:   s,
		Purge:     s,
		Cloud:     &cloud{s, c, cfg},
		Tag:       tag,
		ListAfter: listAfter,
		Parallel:  s.parallel,
		Explain:   explain,
		Closed:    closed.Load,
		Close: func() error {
			closed.Store(true)
			defer closeIdle(cfg.HTTPClient)
			return bucket.Close()
		},
	}, nil
}

// sumOf returns the checksum of a write to a server that is not AWS.
func sumOf(c Config, other bool) string {
	if sum := cmp.Or(c.Checksum, "md5"); other && sum != "none" {
		return sum
	}
	return ""
}

func (c Config) checkEncryption() error {
	switch {
	case !slices.Contains([]string{"", "AES256", "aws:kms", "aws:kms:dsse"}, c.SSE):
		return fmt.Errorf("%w: sse must be AES256, aws:kms or aws:kms:dsse", vault.ErrConfig)
	case !slices.Contains([]string{"", "md5", "crc32", "none"}, c.Checksum):
		return fmt.Errorf("%w: checksum must be md5, crc32 or none", vault.ErrConfig)
	case c.KMSKey != "" && !strings.HasPrefix(c.SSE, "aws:kms"):
		return fmt.Errorf("%w: a KMS key requires sse=aws:kms or sse=aws:kms:dsse", vault.ErrConfig)
	}
	return nil
}

// A store implements the interfaces of [vault.Store] that s3blob does not cover.
type store struct {
	bucket string
	client *s3.Client
	sums   aws.RequestChecksumCalculation
	sse    types.ServerSideEncryption
	key    *string     // the KMS key
	other  bool        // the server is not AWS: see dialects.go, and [order] for its lists of versions
	sum    string      // of a write to such a server: md5, crc32 or ""
	single atomic.Bool // the server deletes only one object in a request

	parallel     int          // see [Config].Parallel
	uploads      atomic.Int32 // in parts, in progress
	copySize     int64        // see [copySize]
	copiesRanges atomic.Bool  // the server copies ranges: see [splicing.tryRange]
}

// listAfter starts a list after a key.
func listAfter(key string) func(as func(any) bool) error {
	return func(as func(any) bool) error {
		var in *s3.ListObjectsV2Input
		if as(&in) {
			in.StartAfter = aws.String(key)
		}
		return nil
	}
}

// tag returns the ETag of the object that r reads. It includes the quotes.
func tag(r *blob.Reader) string {
	var out s3.GetObjectOutput
	if !r.As(&out) {
		return ""
	}
	return aws.ToString(out.ETag)
}
