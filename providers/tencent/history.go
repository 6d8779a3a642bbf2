package tencent

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/vault"
)

// Versions yields the versions of exactly key, newest first. An object that was stored without
// versioning is the version null.
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

// OpenVersion reads a range of one version. Only the version "null" has a tag, because writes replace
// it while versioning is suspended.
func (s *store) OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error) {
	if id == "" {
		return nil, "", fmt.Errorf("%w: the version ID is empty", vault.ErrNotFound)
	}
	r, err := s.open(ctx, key, id, offset, length)
	switch code(err) {
	case "":
	case "InvalidRange":
		return http.NoBody, "", nil // past the end
	case "InvalidArgument", "MethodNotAllowed":
		return nil, "", fmt.Errorf("%w: %w", vault.ErrNotFound, err) // the ID is invalid, or belongs to a delete marker
	}
	if err != nil {
		return nil, "", err
	}
	if id == "null" {
		tag = etag(r)
	}
	return r, tag, nil
}

// open reads a range of a version, or of the current version.
func (s *store) open(ctx context.Context, key, id string, offset, length int64) (*blob.Reader, error) {
	return s.bucket.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var version *cosblob.VersionID
		if !as(&version) {
			panic("tencent: the driver does not support *cosblob.VersionID")
		}
		*version = cosblob.VersionID(id)
		return nil
	}})
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

// versions lists the versions of all keys that start with prefix, sorted by key and then newest
// first. Each page is one request.
func (s *store) versions(ctx context.Context, prefix string) iter.Seq2[version, error] {
	return func(yield func(version, error) bool) {
		in := &cos.BucketGetObjectVersionsOptions{
			Prefix: prefix, MaxKeys: pageSize,
			EncodingType: "url", // XML does not allow every character of a key
		}
		for {
			var page listing
			err := s.try(ctx, reading, func(ctx context.Context) error {
				page = listing{}
				_, _, err := s.client.Bucket.GetObjectVersions(context.WithValue(ctx, listingKey{}, &page), in)
				return cmp.Or(err, page.err)
			})
			var entries []version
			if err == nil {
				entries, err = page.versions()
			}
			if err != nil {
				yield(version{}, err)
				return
			}
			for _, v := range entries {
				if !yield(v, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			key, id, err := page.next(in.KeyMarker, in.VersionIdMarker)
			if err != nil {
				yield(version{}, err)
				return
			}
			in.KeyMarker, in.VersionIdMarker = key, id
		}
	}
}

// pageSize is the maximum number of entries that COS lists or deletes in one request.
const pageSize = 1000
