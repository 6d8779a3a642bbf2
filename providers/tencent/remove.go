package tencent

import (
	"context"
	"fmt"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/vault"
)

// Remove deletes the current objects of at most 1000 keys. It uses DELETE Object for one key and
// multi-delete for several. COS does not report which objects did not exist.
func (s *store) Remove(ctx context.Context, keys []string) (failed map[string]error, err error) {
	failed = make(map[string]error)
	var leftovers []vault.Leftover
	for _, key := range keys {
		if !isUnescaped(key) {
			if err := s.bucket.Delete(ctx, key); err != nil {
				failed[key] = err
			}
			continue
		}
		leftovers = append(leftovers, vault.Leftover{Key: key})
	}
	if len(leftovers) == 1 {
		return failed, s.try(ctx, changing, func(ctx context.Context) error {
			_, err := s.client.Object.Delete(ctx, leftovers[0].Key)
			return err
		})
	}
	failures, err := s.Purge(ctx, leftovers)
	for l, err := range failures {
		failed[l.Key] = err
	}
	return failed, err
}

// isUnescaped reports whether cosblob stores a key under the key itself. Other keys, which a vault
// never writes, are deleted with cosblob.
func isUnescaped(key string) bool {
	if key == "" || key[0] == '/' || key[0] == '\\' || strings.Contains(key, "__0x") {
		return false
	}
	for element := range strings.SplitSeq(key, "/") {
		if element == "." || element == ".." {
			return false
		}
	}
	return !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Purge permanently deletes versions.
func (s *store) Purge(ctx context.Context, leftovers []vault.Leftover) (failed map[vault.Leftover]error, err error) {
	if len(leftovers) == 0 {
		return nil, nil
	}
	type id struct{ key, version string }
	requested := make(map[id]vault.Leftover, len(leftovers))
	objects := make([]cos.Object, len(leftovers))
	for i, l := range leftovers {
		requested[id{l.Key, l.ID}] = l
		objects[i] = cos.Object{Key: l.Key, VersionId: l.ID}
	}
	var result *cos.ObjectDeleteMultiResult
	err = s.try(ctx, changing, func(ctx context.Context) (err error) {
		result, _, err = s.client.Object.DeleteMulti(ctx, &cos.ObjectDeleteMultiOptions{Quiet: true, Objects: objects})
		return err
	})
	if err != nil {
		return nil, err
	}
	failed = make(map[vault.Leftover]error)
	for _, e := range result.Errors {
		cause := deletionError(e.Code, e.Message)
		l, ok := requested[id{e.Key, e.VersionId}]
		if !ok {
			return nil, fmt.Errorf("%w: the response reports an error for an object that was not in the request: %w", vault.ErrUnavailable, cause)
		}
		if l.ID != "" && (e.Code == "NoSuchVersion" || e.Code == "NoSuchKey") {
			continue // it is already deleted
		}
		failed[l] = cause
	}
	return failed, nil
}

// deletionError returns the error of one object in a multi-delete.
func deletionError(code, message string) error {
	f, known := failureOfCode(code, message)
	switch {
	case code == "":
		f.sentinel = vault.ErrUnavailable
	case !known:
		f = failure{vault.ErrRefused, vault.ReasonUnknown}
	}
	text := "COS multi-delete: " + code
	if message != "" {
		text += ", " + message
	}
	if f.sentinel == vault.ErrRefused {
		if text = code; message != "" {
			text += ": " + message
		}
		text += " (COS multi-delete)"
	}
	return &vault.Cause{Service: service, Sentinel: f.sentinel, Reason: f.reason, Message: text}
}
