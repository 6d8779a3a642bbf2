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
	// copyLimit is up to which size COS copies by one request (436/10881): "5 GB", of
	// which this is the smaller reading.
	copyLimit = 5_000_000_000
	copyPart  = 512 << 20
)

// BUG(objectvault): A copy does not take the ACL and the encryption of its source along, and
// one of more than 5 GB, which is made of parts, not its tags either.

// Copy copies within the service. Larger objects are copied in parts, all of one source:
// each names its ETag.
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
		return fmt.Errorf("cosblob: %w: a copy needs Options.Region", gcerrors.ErrUnimplemented)
	}
	from, err := b.head(ctx, srcKey, nil)
	if err != nil {
		return err
	}
	in := &cos.ObjectCopyOptions{
		ACLHeaderOptions: new(cos.ACLHeaderOptions),
		ObjectCopyHeaderOptions: &cos.ObjectCopyHeaderOptions{
			XCosCopySourceIfMatch: from.Header.Get("ETag"),
			XCosStorageClass:      from.Header.Get("X-Cos-Storage-Class"), // would be lost
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
		return fmt.Errorf("%w: the copy has another CRC64 than its source; it was written", ErrChecksum)
	}
	return nil
}

func (b *bucket) copyParts(ctx context.Context, dst, source string, from *cos.Response, in *cos.ObjectCopyOptions) error {
	if in.XCosSSECustomerAglo != "" {
		return fmt.Errorf("cosblob: %w: a copy of more than %d bytes with a key of one's own", gcerrors.ErrUnimplemented, b.copyLimit)
	}
	match := in.XCosCopySourceIfMatch
	if match == "" || match == "*" {
		match = from.Header.Get("ETag") // all parts are of one source, whatever was asked
	}
	if match == "" {
		return errors.New("cosblob: the service does not say which source it has, and parts of two could be mixed")
	}
	up, err := b.start(context.WithValue(ctx, sourceKey{}, nil), dst, copied(from, in), partsOnce)
	if err != nil {
		return err
	}
	size := from.ContentLength
	step := max(b.copyPart, (size+maxParts-1)/maxParts)
	for first := int64(0); first < size; first += step {
		last := min(first+step, size) - 1
		if err := up.do(func(pctx context.Context, n int, p *part) error {
			pctx = context.WithValue(pctx, sourceKey{}, ctx.Value(sourceKey{}))
			o := &cos.ObjectCopyPartOptions{
				XCosCopySourceRange:             fmt.Sprintf("bytes=%d-%d", first, last),
				XCosCopySourceIfMatch:           match,
				XCosCopySourceIfNoneMatch:       in.XCosCopySourceIfNoneMatch,
				XCosCopySourceIfModifiedSince:   in.XCosCopySourceIfModifiedSince,
				XCosCopySourceIfUnmodifiedSince: in.XCosCopySourceIfUnmodifiedSince,
			}
			return b.try(pctx, repeatable, func(ctx context.Context) error {
				lasting, cancel := answered(ctx)
				defer cancel()
				got, _, err := b.client.Object.CopyPart(lasting, dst, up.id, n, source, o)
				if err == nil && got.ETag == "" {
					err = fmt.Errorf("%w: part %d has no ETag", ErrChecksum, n)
				}
				if err == nil {
					p.etag = got.ETag
				}
				return err
			})
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

// copied are the headers that a copy by one request would take along.
func copied(from *cos.Response, in *cos.ObjectCopyOptions) *cos.ObjectPutOptions {
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
