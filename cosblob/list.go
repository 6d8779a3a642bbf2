package cosblob

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// maxPage is the maximum number of entries that COS returns in one list response (436/7734).
const maxPage = 1000

func (b *bucket) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	in := &cos.BucketGetOptions{
		Prefix:       escapePrefix(o.Prefix),
		Delimiter:    escapePrefix(o.Delimiter),
		EncodingType: "url", // XML does not allow every character of a key
		Marker:       string(o.PageToken),
		MaxKeys:      min(cmp.Or(o.PageSize, maxPage), maxPage),
	}
	if utf8.RuneCountInString(in.Delimiter) > 1 {
		return nil, fmt.Errorf("cosblob: %w: a delimiter of COS must be one character, not %q", gcerrors.ErrUnimplemented, o.Delimiter)
	}
	if o.BeforeList != nil {
		if err := o.BeforeList(as(&in)); err != nil {
			return nil, err
		}
	}
	var got *cos.BucketGetResult
	err := b.try(ctx, repeatable, func(ctx context.Context) (err error) {
		got, _, err = b.client.Bucket.Get(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page(in, got, o.Prefix)
}

// page returns the entries of a list whose keys have a prefix. A name may begin with the escaped
// prefix although its key does not begin with the prefix: the name of "a\x01" begins with a_.
func page(in *cos.BucketGetOptions, got *cos.BucketGetResult, prefix string) (*driver.ListPage, error) {
	decode := func(s string) (string, error) { return s, nil }
	if got.EncodingType == "url" {
		decode = url.PathUnescape
	}
	p := &driver.ListPage{Objects: make([]*driver.ListObject, 0, len(got.Contents)+len(got.CommonPrefixes))}
	add := func(o cos.Object, dir bool) error {
		name, err := decode(o.Key)
		if err != nil {
			return fmt.Errorf("cosblob: the list contains a key that is not percent-encoded: %w", err)
		}
		o.Key = name
		key := unescapeKey(name)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		entry := &driver.ListObject{Key: key, IsDir: dir, AsFunc: func(i any) bool {
			p, ok := i.(*cos.Object)
			if ok {
				*p = o
			}
			return ok
		}}
		if !dir {
			// The MD5 stays empty. A list does not show which ETags are no MD5, for example
			// because an object is encrypted with KMS.
			entry.Size = o.Size
			if entry.ModTime, err = time.Parse(time.RFC3339, o.LastModified); err != nil {
				return fmt.Errorf("cosblob: the list contains an invalid time: %w", err)
			}
		}
		p.Objects = append(p.Objects, entry)
		return nil
	}
	for _, o := range got.Contents {
		if err := add(o, false); err != nil {
			return nil, err
		}
	}
	for _, prefix := range got.CommonPrefixes {
		if err := add(cos.Object{Key: prefix}, true); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(p.Objects, func(a, b *driver.ListObject) int { return cmp.Compare(a.Key, b.Key) })
	if !got.IsTruncated {
		return p, nil
	}
	// A truncated list always contains NextMarker (436/7734).
	next, err := decode(got.NextMarker)
	if err != nil || next <= in.Marker {
		return nil, fmt.Errorf("cosblob: %w: a list is truncated, but its NextMarker %q is not after the marker %q", ErrForeign, got.NextMarker, in.Marker)
	}
	p.NextPageToken = []byte(next)
	return p, nil
}
