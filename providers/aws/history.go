package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/vault"
)

// Versions yields the versions of exactly key, newest first. In a bucket that never had versioning
// the object is the only version, with the ID null.
func (s *store) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		for v, err := range s.versions(ctx, key) {
			// The list is in the order of keys, so keys that only start with key come later.
			if err == nil && v.key != key {
				return
			}
			if !yield(v.Version, err) || err != nil {
				return
			}
		}
	}
}

// OpenVersion reads a range of one version. Only the version "null" has a tag, because writes without
// versioning replace it.
func (s *store) OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error) {
	if id == "" {
		return nil, "", fmt.Errorf("%w: the version ID is empty", vault.ErrNotFound)
	}
	in := &s3.GetObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(key), VersionId: aws.String(id)}
	switch {
	case length == 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset)) // HTTP has no empty range
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in)
	if err == nil {
		if id == "null" {
			tag = aws.ToString(out.ETag)
		}
		if length == 0 {
			out.Body.Close()
			return http.NoBody, tag, nil
		}
		return out.Body, tag, nil
	}
	switch code(err) {
	case "InvalidRange":
		return http.NoBody, "", nil // past the end
	case "InvalidArgument", "NoSuchVersion", "MethodNotAllowed":
		// The ID is invalid, the version does not exist, or it is a delete marker.
		return nil, "", fmt.Errorf("%w: %w", vault.ErrNotFound, err)
	}
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.HTTPStatusCode() == http.StatusMethodNotAllowed {
		return nil, "", fmt.Errorf("%w: %w", vault.ErrNotFound, err)
	}
	return nil, "", err
}

// Leftovers yields everything that would stay in the bucket if the current objects were deleted: old
// versions and delete markers.
func (s *store) Leftovers(ctx context.Context, prefix string) iter.Seq2[vault.Leftover, error] {
	return func(yield func(vault.Leftover, error) bool) {
		for v, err := range s.versions(ctx, prefix) {
			if err != nil {
				yield(vault.Leftover{}, err)
				return
			}
			if v.Current && !v.Deleted {
				continue
			}
			if !yield(vault.Leftover{Key: v.key, ID: v.ID, Deleted: v.Deleted}, nil) {
				return
			}
		}
	}
}

// A version is one entry of a list of versions.
type version struct {
	key string
	vault.Version
}

// versions lists the versions of all keys that start with prefix, sorted by key and then newest
// first. Each page is one request.
func (s *store) versions(ctx context.Context, prefix string) iter.Seq2[version, error] {
	return func(yield func(version, error) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: aws.String(s.bucket), Prefix: aws.String(prefix), MaxKeys: aws.Int32(pageSize)}
		for {
			order := order{mayGroup: s.other}
			out, err := s.client.ListObjectVersions(ctx, in, order.capture)
			var page []version
			if err == nil {
				page, err = order.merge(out)
			}
			if err != nil {
				yield(version{}, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			if aws.ToString(out.NextKeyMarker) == "" {
				yield(version{}, fmt.Errorf("%w: a list of versions is truncated, but has no marker for the next page", vault.ErrUnavailable))
				return
			}
			in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		}
	}
}

// pageSize is the maximum number of entries that S3 lists or deletes in one request.
const pageSize = 1000
