package cosblob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/gcerrors"
)

// With a Tail, the service appends bytes of an existing object of the same bucket to the bytes that
// the writer has written. They do not pass through this process. The written bytes must be at least
// 1 MiB, which is the minimum size of each part of a multipart upload except the last. Set the
// fields in WriterOptions.BeforeWrite.
//
// The copy is pinned to a version or to an ETag, so all bytes come from the same object.
type Tail struct {
	Key       string
	VersionID string // the version to copy; set either VersionID or ETag
	ETag      string // the current object must have this ETag
	Offset    int64
	Length    int64 // 0 means that there is no tail
}

// A TailError means that the service did not copy a part of a [Tail]. The object was not written.
type TailError struct{ Err error }

func (e *TailError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the request.
func (e *TailError) Unwrap() error { return e.Err }

// tailPart is the minimum size of a part of a tail, except the last. A service that sends nothing while
// it copies must copy so much within the timeout of a connection.
const tailPart = 64 << 20

// copyConcurrency is the number of parts that the service copies at a time.
const copyConcurrency = 3

// copyTail copies the tail of w, after all data of w was passed to w.up.
func (w *writer) copyTail() error {
	b, t := w.b, w.tail
	key, err := escapeKey(t.Key)
	if err != nil {
		return err
	}
	source, encoded := b.host+"/"+key, b.host+"/"+strings.ReplaceAll(escapeValue(key), "%2F", "/")
	if t.VersionID != "" {
		source += "?versionId=" + t.VersionID
		encoded += "?versionId=" + url.QueryEscape(t.VersionID)
	}
	free := int64(maxParts - len(w.up.parts))
	step := max(b.tailPart, (t.Length+free-1)/free)
	for first := int64(0); first < t.Length; first += step {
		n := min(step, t.Length-first)
		if err := w.up.copyRange(source, encoded, t.Offset+first, n, &cos.ObjectCopyPartOptions{XCosCopySourceIfMatch: t.ETag}); err != nil {
			return err
		}
	}
	return nil
}

// copyRange copies n bytes of an object as the next part, in a goroutine. encoded is the source as the
// service requires it: see [sourceKey].
func (u *upload) copyRange(source, encoded string, first, n int64, options *cos.ObjectCopyPartOptions) error {
	o := *options
	o.XCosCopySourceRange = fmt.Sprintf("bytes=%d-%d", first, first+n-1)
	return u.do(max(u.size, u.limit/copyConcurrency), func(ctx context.Context, number int, p *part) error {
		p.size, p.unchecked = n, true
		ctx = context.WithValue(ctx, sourceKey{}, encoded)
		err := u.b.try(ctx, repeatable, func(ctx context.Context) error {
			lasting, cancel := lingeringContext(ctx)
			defer cancel()
			got, _, err := u.b.client.Object.CopyPart(lasting, u.name, u.id, number, source, &o)
			if err == nil && got.ETag == "" {
				err = fmt.Errorf("%w: part %d has no ETag", ErrChecksum, number)
			}
			if err == nil {
				p.etag = got.ETag
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			err = &TailError{err}
		}
		return err
	})
}

// checkTail returns an error if the writer cannot copy its tail.
func (b *bucket) checkTail(t *Tail) error {
	switch {
	case t.Length == 0:
		return nil
	case t.Length < 0, t.Offset < 0:
		return errors.New("cosblob: Tail.Offset or Tail.Length is negative")
	case t.VersionID == "" && t.ETag == "":
		return errors.New("cosblob: Tail requires VersionID or ETag; without one, the copied parts could come from two different objects")
	case b.host == "":
		return fmt.Errorf("cosblob: %w: a copy requires Options.Region", gcerrors.ErrUnimplemented)
	}
	return nil
}
