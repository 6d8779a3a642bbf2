package cosblob

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

const (
	// copyLimit is the largest size that COS copies in one request. The documentation says
	// "5 GB" (436/10881). We use the smaller of its two meanings.
	copyLimit = 5_000_000_000
	copyPart  = 512 << 20
)

// BUG(objectvault): A copy does not preserve the ACL and the encryption of its source. A copy of
// more than 5 GB, which is a multipart upload, does not preserve the tags either.

// Copy copies an object within the service. It copies a larger object in parts. Each part
// request contains the ETag of the source, so all parts come from the same version.
func (b *bucket) Copy(ctx context.Context, dstKey, srcKey string, o *driver.CopyOptions) error {
	dst, err := escapeKey(dstKey)
	if err != nil {
		return err
	}
	src, err := escapeKey(srcKey)
	if err != nil {
		return err
	}
	if b.host == "" {
		return fmt.Errorf("cosblob: %w: a copy requires Options.Region", gcerrors.ErrUnimplemented)
	}
	from, err := b.head(ctx, srcKey, nil)
	if err != nil {
		return err
	}
	in := &cos.ObjectCopyOptions{
		ACLHeaderOptions: new(cos.ACLHeaderOptions),
		ObjectCopyHeaderOptions: &cos.ObjectCopyHeaderOptions{
			XCosCopySourceIfMatch: from.Header.Get("ETag"),
			XCosStorageClass:      from.Header.Get("X-Cos-Storage-Class"), // a copy does not preserve it by default
			XOptionHeader:         &http.Header{},
		},
	}
	if o.BeforeCopy != nil {
		if err := o.BeforeCopy(as(&in)); err != nil {
			return err
		}
	} else if src == dst {
		return nil // COS refuses to copy an object to itself unless something changes
	}
	source := b.host + "/" + src
	ctx = context.WithValue(ctx, sourceKey{}, b.host+"/"+strings.ReplaceAll(escapeValue(src), "%2F", "/"))
	if from.ContentLength > b.copyLimit {
		return b.copyParts(ctx, dst, source, from, in)
	}
	var got *cos.ObjectCopyResult
	if err := b.try(ctx, publishing, func(ctx context.Context) (err error) {
		got, _, err = b.client.Object.Copy(ctx, dst, source, in)
		return err
	}); err != nil {
		return err
	}
	if sum := from.Header.Get("X-Cos-Hash-Crc64ecma"); sum != "" && got.CRC64 != "" && got.CRC64 != sum {
		return fmt.Errorf("%w: the CRC64 of the copy differs from the CRC64 of the source; the copy exists in the bucket", ErrChecksum)
	}
	return nil
}

func (b *bucket) copyParts(ctx context.Context, dst, source string, from *cos.Response, in *cos.ObjectCopyOptions) error {
	if in.XCosSSECustomerAglo != "" {
		return fmt.Errorf("cosblob: %w: a copy of more than %d bytes with a customer-provided encryption key", gcerrors.ErrUnimplemented, b.copyLimit)
	}
	match := in.XCosCopySourceIfMatch
	if match == "" || match == "*" {
		match = from.Header.Get("ETag") // all parts must come from the same version of the source
	}
	if match == "" {
		return errors.New("cosblob: the source has no ETag, so the copy could mix parts of two versions")
	}
	up, err := b.start(context.WithValue(ctx, sourceKey{}, nil), dst, copiedHeaders(from, in), copyConcurrency, 1)
	if err != nil {
		return err
	}
	size := from.ContentLength
	step := max(b.copyPart, (size+maxParts-1)/maxParts)
	encoded, _ := ctx.Value(sourceKey{}).(string)
	for first := int64(0); first < size; first += step {
		if err := up.copyRange(source, encoded, first, min(step, size-first), &cos.ObjectCopyPartOptions{
			XCosCopySourceIfMatch:           match,
			XCosCopySourceIfNoneMatch:       in.XCosCopySourceIfNoneMatch,
			XCosCopySourceIfModifiedSince:   in.XCosCopySourceIfModifiedSince,
			XCosCopySourceIfUnmodifiedSince: in.XCosCopySourceIfUnmodifiedSince,
		}); err != nil {
			return up.abandon(err)
		}
	}
	if err := up.wait(); err != nil {
		return err
	}
	var whole *part
	if sum, ok := crcOf(from.Header); ok {
		whole = &part{crc: binary.BigEndian.Uint64(sum), size: size}
	}
	_, err = up.finish(context.WithValue(ctx, sourceKey{}, nil), forbid(in.XOptionHeader), whole)
	return err
}

// copiedHeaders returns the headers that a copy in one request preserves.
func copiedHeaders(from *cos.Response, in *cos.ObjectCopyOptions) *cos.ObjectPutOptions {
	h, meta := from.Header, http.Header{}
	for name, values := range h {
		if strings.HasPrefix(strings.ToLower(name), metaPrefix) {
			meta[name] = values
		}
	}
	o := &cos.ObjectPutOptions{
		ACLHeaderOptions: in.ACLHeaderOptions,
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
			CacheControl:             h.Get("Cache-Control"),
			ContentDisposition:       h.Get("Content-Disposition"),
			ContentEncoding:          h.Get("Content-Encoding"),
			ContentLanguage:          h.Get("Content-Language"),
			ContentType:              h.Get("Content-Type"),
			Expires:                  h.Get("Expires"),
			XCosMetaXXX:              &meta,
			XCosStorageClass:         in.XCosStorageClass,
			XCosServerSideEncryption: in.XCosServerSideEncryption,
			XOptionHeader:            in.XOptionHeader,
		},
	}
	if in.XCosMetadataDirective == "Replaced" {
		p := o.ObjectPutHeaderOptions
		p.CacheControl, p.ContentDisposition, p.ContentEncoding = in.CacheControl, in.ContentDisposition, in.ContentEncoding
		p.ContentLanguage, p.ContentType, p.Expires = in.ContentLanguage, cmp.Or(in.ContentType, p.ContentType), in.Expires
		p.XCosMetaXXX = in.XCosMetaXXX
	}
	return o
}
