package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/internal/transport"
	ovaws "github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// An s3Side is the SDK without a vault.
type s3Side struct {
	target
	client  *s3.Client
	manager *transfermanager.Client
}

// newS3 returns the SDK with its defaults, except for two settings of the provider: it sends
// checksums only where they are required, and it keeps a connection for each of 16 workers. Without
// them, the benchmark would compare these settings instead of the vault.
func newS3(t target) *s3Side {
	client := testcloud.S3Client(t.Endpoint, testcloud.Keys{AccessKeyID: t.KeyID, SecretKey: t.Key}, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		base := awshttp.NewBuildableClient().GetTransport()
		base.MaxIdleConnsPerHost = 16
		o.HTTPClient = &http.Client{Transport: transport.Bodies{Base: base}} // otherwise responses are sometimes lost
	})
	manager := transfermanager.New(client, func(o *transfermanager.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	return &s3Side{t, client, manager}
}

// put stores a value that fits into memory.
func (s *s3Side) put(ctx context.Context, key string, value []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(value)})
	return err
}

// upload stores a large object as a multipart upload.
func (s *s3Side) upload(ctx context.Context, key string, size int64) error {
	_, err := s.manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &s.Bucket, Key: &key, Body: io.LimitReader(pattern{}, size)})
	return err
}

// get reads the object in one request. The reader of the transfer manager (v0.4.3), which makes
// several requests, sometimes blocks itself.
func (s *s3Side) get(ctx context.Context, key string, size int64) error {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.Bucket, Key: &key})
	if err != nil {
		return err
	}
	return errors.Join(drain(out.Body, size), out.Body.Close())
}

func (s *s3Side) list(ctx context.Context, prefix string, want int) error {
	n := 0
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n += len(page.Contents)
	}
	return count(n, want)
}

func openS3(ctx context.Context, t target) (*vault.Store, error) {
	return ovaws.Open(ctx, ovaws.Config{
		Bucket: t.Bucket, Endpoint: t.Endpoint, Static: credentials.NewStaticCredentialsProvider(t.KeyID, t.Key, ""),
	})
}
