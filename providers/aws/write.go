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
// PutObject or CompleteMultipartUpload sends the condition. The response is 412 PreconditionFailed if
// the condition is not met, and 404 for If-Match if the object does not exist. It is 409
// ConditionalRequestConflict if another conditional write or a delete was in progress. Then nothing
// was written, and it is unknown whether the condition is met. A PutObject may then be repeated. After
// CompleteMultipartUpload the whole upload must be repeated.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html

// Put stores an object, and replaces an existing object.
func (s *store) Put(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	out, err := s.upload(ctx, object{key: key}, fill)
	if err != nil {
		return "", err
	}
	return versionID(out.version), nil
}

// Create stores an object only if the key does not exist.
func (s *store) Create(ctx context.Context, key string, fill func(io.Writer) error) (version string, err error) {
	out, err := s.upload(ctx, object{key: key, ifNoneMatch: aws.String("*")}, fill)
	switch {
	case err == nil:
		return versionID(out.version), nil
	case isConditionUnmet(err):
		return "", conditionError(vault.ErrExist, err)
	case code(err) == codeConflict:
		if current, terr := s.etag(ctx, key); terr == nil && current != "" {
			return "", conditionError(vault.ErrExist, err)
		}
	}
	return "", err
}

// Swap replaces an object only if it has the given tag.
func (s *store) Swap(ctx context.Context, key, tag string, fill func(io.Writer) error) (newTag string, err error) {
	if tag == "" { // the SDK omits an empty If-Match, so the write would have no condition
		return "", errNoETag
	}
	out, err := s.upload(ctx, object{key: key, ifMatch: aws.String(tag)}, fill)
	if err != nil {
		return "", s.swapError(ctx, key, tag, err)
	}
	return aws.ToString(out.etag), nil
}

var errNoETag = fmt.Errorf("%w: the server returned no ETag for the object", vault.ErrUnsupported)

// swapError returns the error of a failed compare-and-swap. It wraps [vault.ErrConflict] if the object
// does not have the tag.
func (s *store) swapError(ctx context.Context, key, tag string, err error) error {
	switch {
	case isConditionUnmet(err), code(err) == "NoSuchKey":
		return conditionError(vault.ErrConflict, err)
	case code(err) == codeConflict:
		if current, terr := s.etag(ctx, key); terr == nil && current != tag {
			return conditionError(vault.ErrConflict, err)
		}
	}
	return err
}

// isConditionUnmet reports whether the condition of a write is not met. Only the request that publishes
// the object has a condition. In the response to a part the same code has another meaning.
func isConditionUnmet(err error) bool {
	var before *unpublished
	return code(err) == codeFailed && !errors.As(err, &before)
}

// conditionError returns the error of a write whose condition is not met.
func conditionError(sentinel, err error) error {
	if left := remainingBytes(err); left > 0 {
		return &vault.Cause{Service: service, Sentinel: sentinel, Message: describe(err), Effect: vault.Refused, Unfinished: left}
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

const (
	codeFailed   = "PreconditionFailed"
	codeConflict = "ConditionalRequestConflict"
	codeAborted  = "OperationAborted"
)

// etag returns the tag of the object at key, or "" if it does not exist. It reads a byte, because the
// response to a HEAD has no error code.
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

// versionID returns the ID of a version. An object that was written without versioning has the ID null,
// which S3 returns only in lists of versions.
func versionID(id *string) string { return cmp.Or(aws.ToString(id), "null") }
