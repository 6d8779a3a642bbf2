package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/vault"
)

// Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
//
// The condition goes with PutObject, or with CompleteMultipartUpload: 412
// PreconditionFailed when it does not hold, 404 for If-Match where nothing is, and 409
// ConditionalRequestConflict when another conditional write, or a deletion, was under
// way; then nothing was written, and it is not told whether the condition holds. A PutObject may
// then be sent again; after CompleteMultipartUpload the whole upload has to be made again.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html

// Put stores an object over what may be there.
func (s *store) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	out, err := s.upload(ctx, object{key: key}, fill)
	if err != nil {
		return "", err
	}
	return versionID(out.version), nil
}

// Create stores an object only where there is none.
func (s *store) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	out, err := s.upload(ctx, object{key: key, ifNoneMatch: aws.String("*")}, fill)
	switch {
	case err == nil:
		return versionID(out.version), nil
	case unmet(err):
		return "", lost(vault.ErrExist, err)
	case code(err) == codeConflict:
		if there, terr := s.etag(ctx, key); terr == nil && there != "" {
			return "", lost(vault.ErrExist, err)
		}
	}
	return "", err
}

// Swap replaces an object only while it has the given tag.
func (s *store) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	if tag == "" { // an empty If-Match is left out, and the write would have no condition
		return "", fmt.Errorf("%w: the server gives no ETag", vault.ErrUnsupported)
	}
	out, err := s.upload(ctx, object{key: key, ifMatch: aws.String(tag)}, fill)
	switch {
	case err == nil:
		return aws.ToString(out.etag), nil
	case unmet(err), code(err) == "NoSuchKey":
		return "", lost(vault.ErrConflict, err)
	case code(err) == codeConflict:
		if now, terr := s.etag(ctx, key); terr == nil && now != tag {
			return "", lost(vault.ErrConflict, err)
		}
	}
	return "", err
}

// unmet reports whether the condition of a write does not hold. Only the request that makes the
// object visible has one: the same code means something else as the response to a part.
func unmet(err error) bool {
	var before *unpublished
	return code(err) == codeFailed && !errors.As(err, &before)
}

// lost returns the error of a writer whose condition does not hold.
func lost(sentinel, err error) error {
	if left := remains(err); left > 0 {
		return &vault.Cause{Service: service, Sentinel: sentinel, Message: said(err), Effect: vault.Refused, Unfinished: left}
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

const (
	codeFailed   = "PreconditionFailed"
	codeConflict = "ConditionalRequestConflict"
	codeAborted  = "OperationAborted"
)

// etag returns the tag of the object at key, or "" where there is none. It reads a byte
// because the answer to a HEAD cannot tell why it was refused.
func (s *store) etag(ctx context.Context, key string) (string, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(key), Range: aws.String("bytes=0-0")})
	if err != nil {
		if errors.Is(explain(err), vault.ErrNotFound) {
			return "", nil
		}
		return "", err
	}
	out.Body.Close()
	return aws.ToString(out.ETag), nil
}

// versionID is a version's id. S3 has null for what was written without versioning, and
// says so only when versions are listed.
func versionID(id *string) string { return cmp.Or(aws.ToString(id), "null") }
