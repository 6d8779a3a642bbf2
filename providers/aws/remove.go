package aws

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/vault"
)

// Remove deletes the current objects of at most 1000 keys. It uses DeleteObject for one key and
// DeleteObjects for several. S3 does not report which objects did not exist.
func (s *store) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	if len(keys) == 1 {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(keys[0])}, noRepeat)
		return nil, err
	}
	leftovers := make([]vault.Leftover, len(keys))
	for i, key := range keys {
		leftovers[i].Key = key
	}
	failures, err := s.Purge(ctx, leftovers)
	for l, err := range failures {
		if failed == nil {
			failed = make(map[string]error)
		}
		failed[l.Key] = err
	}
	return failed, err
}

// Purge permanently deletes versions.
func (s *store) Purge(ctx context.Context, leftovers []vault.Leftover) (failed map[vault.Leftover]error, err error) {
	if len(leftovers) == 0 {
		return nil, nil
	}
	if s.single.Load() {
		return s.removeEach(ctx, leftovers)
	}
	type id struct{ key, version string }
	requested := make(map[id]vault.Leftover, len(leftovers))
	objects := make([]types.ObjectIdentifier, len(leftovers))
	for i, l := range leftovers {
		requested[id{l.Key, l.ID}] = l
		objects[i].Key = aws.String(l.Key)
		if l.ID != "" {
			objects[i].VersionId = aws.String(l.ID)
		}
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: aws.String(s.bucket), Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	}, noRepeat, s.withMD5)
	if s.other && noMultiDelete(err) {
		s.single.Store(true)
		return s.removeEach(ctx, leftovers)
	}
	if err != nil {
		return nil, err
	}
	for _, e := range out.Errors {
		l, ok := requested[id{aws.ToString(e.Key), aws.ToString(e.VersionId)}]
		if !ok {
			// Some servers omit the version, or respond with keys that were not requested.
			return nil, fmt.Errorf("%w: the response reports an error for an object that was not in the request: %w", vault.ErrUnavailable, deletionError(e))
		}
		if isGone(l, aws.ToString(e.Code)) {
			continue
		}
		if failed == nil {
			failed = make(map[vault.Leftover]error)
		}
		failed[l] = deletionError(e)
	}
	return failed, nil
}

// isGone reports whether a code means that a version no longer exists. Some servers that are not AWS
// return these codes.
func isGone(l vault.Leftover, code string) bool {
	return l.ID != "" && (code == "NoSuchVersion" || code == "NoSuchKey" || code == "InvalidArgument")
}

// deletionError returns the error of one object in a DeleteObjects request.
func deletionError(e types.Error) error {
	code, message := aws.ToString(e.Code), aws.ToString(e.Message)
	f, known := failureOfCode(code, vault.Refused)
	switch {
	case code == "":
		f.sentinel = vault.ErrUnavailable
	case !known:
		f = failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	text := "S3 DeleteObjects: " + code
	if message != "" {
		text += ", " + message
	}
	if f.sentinel == vault.ErrRefused {
		if text = code; message != "" {
			text += ": " + message
		}
		text += " (S3 DeleteObjects)"
	}
	return &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: text}
}
