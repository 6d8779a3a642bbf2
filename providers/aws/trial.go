package aws

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// noUpload is the ID of an upload that does not exist, in the format of Ceph and AWS.
const noUpload = "2~AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// TryUnsigned sends a GetObject without a signature.
func (c *cloud) TryUnsigned(ctx context.Context, key string) error {
	out, err := c.store.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.config.Bucket, Key: &key, Range: aws.String("bytes=0-0")},
		noRepeat, func(o *s3.Options) { o.Credentials = nil })
	if err != nil {
		return explained(err)
	}
	defer out.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(out.Body, 1))
	return explained(err)
}

// TryUploads sends a ListMultipartUploads.
func (c *cloud) TryUploads(ctx context.Context, prefix string) error {
	_, err := c.store.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &c.config.Bucket, Prefix: &prefix, MaxUploads: aws.Int32(1)})
	return explained(err)
}

// TryAbort sends an AbortMultipartUpload.
func (c *cloud) TryAbort(ctx context.Context, key string) error {
	_, err := c.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.config.Bucket, Key: &key, UploadId: aws.String(noUpload)}, noRepeat)
	if code(err) == "NoSuchUpload" {
		return nil
	}
	return explained(err)
}
