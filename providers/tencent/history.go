package tencent

import (
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

// Versions yields the versions of exactly key, newest first. What was written without
// versioning is one, which COS calls null.
func (s *store) Versions(ctx context.Context, key string) iter.Seq2[vault.Version, error] {
	return func(yield func(vault.Version, error) bool) {
		for v, err := range s.versions(ctx, key) {
			// In the order of keys: what has key as its beginning comes later.
			if err == nil && v.key != key {
				return
			}
			if !yield(v.Version, err) || err != nil {
				return
			}
		}
	}
}

// OpenVersion reads a part of one version. The version "null" is replaced by every write
// while versioning is suspended, so that it has a tag.
func (s *store) OpenVersion(ctx context.Context, key, id string, offset, length int64) (body io.ReadCloser, tag string, err error) {
	if id == "" {
		return nil, "", fmt.Errorf("%w: a version has an id", vault.ErrNotFound)
	}
	r, err := s.open(ctx, key, id, offset, length)
	switch code(err) {
	case "":
	case "InvalidRange":
		return http.NoBody, "", nil // past the end
	case "InvalidArgument", "MethodNotAllowed":
		return nil, "", fmt.Errorf("%w: %w", vault.ErrNotFound, err) // not the form of an id here; a delete marker
	}
	if err != nil {
		return nil, "", err
	}
	if id == "null" {
		tag = etag(r)
	}
	return r, tag, nil
}

// open reads a part of a version, or of what is current.
func (s *store) open(ctx context.Context, key, id string, offset, length int64) (*blob.Reader, error) {
	return s.bucket.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var version *cosblob.VersionID
		if !as(&version) {
			panic("tencent: the driver opens no versions")
		}
		*version = cosblob.VersionID(id)
		return nil
	}})
}

// Leftovers yields what would stay in the bucket if the current objects were deleted:
// versions that are not current, and delete markers.
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

// versions lists the versions of all keys that start with prefix, by key and then newest
// first, a page a request.
func (s *store) versions(ctx context.Context, prefix string) iter.Seq2[version, error] {
	return func(yield func(version, error) bool) {
		in := &cos.BucketGetObjectVersionsOptions{
			Prefix: prefix, MaxKeys: pageSize,
			EncodingType: "url", // not every character of a key can be in XML
		}
		for {
			var page listing
			err := s.try(ctx, reading, func(ctx context.Context) error {
				page = listing{}
				_, _, err := s.client.Bucket.GetObjectVersions(context.WithValue(ctx, listingKey{}, &page), in)
				return err
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

// pageSize is the most that COS lists, or deletes, in one request.
const pageSize = 1000
