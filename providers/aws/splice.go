package aws

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/vault"
)

// A splice is a multipart upload. Its first part is sent, and S3 copies the others from the current
// object (UploadPartCopy). S3 copies at most 5 GiB in one request:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
//
// S3 copies a part only if the object still has the expected ETag. Another server may ignore this
// condition or the range of the copy, or decode the name of the object twice. So if the server is not
// AWS, the first splice of a store, and every splice of a key that must be encoded, copies a few bytes
// and compares their ETag. Every splice compares the ETag of the object after the last copy. All parts
// are then from the object that has the tag, because a write never returns to an old ETag.

const (
	// copySize is the minimum size of a copied part, except the last. A server that sends nothing
	// while it copies must copy so much within the timeout of a connection.
	copySize        = 64 << 20
	copyConcurrency = 4
)

// Splice replaces the start of an object.
func (s *store) Splice(ctx context.Context, key string, x vault.Splice) (version string, err error) {
	if x.Tag == "" { // the SDK omits an empty condition
		return "", errNoETag
	}
	o := object{key: key}
	if x.Conditional {
		o.ifMatch = aws.String(x.Tag)
	}
	out, err := s.splice(ctx, o, x)
	var judged *judgedError
	switch {
	case err == nil:
		return versionID(out.version), nil
	case errors.As(err, &judged):
		return "", conditionError(judged.sentinel, err)
	case !x.Conditional:
		return "", err
	}
	return "", s.swapError(ctx, key, x.Tag, err)
}

// A judgedError is the error of a splice that stored nothing, for which explain alone would return
// another sentinel.
type judgedError struct{ sentinel, err error }

func (e *judgedError) Error() string { return e.err.Error() }
func (e *judgedError) Unwrap() error { return e.err }

// A splicing is a splice in progress.
type splicing struct {
	*store
	*publisher
	vault.Splice
	name   string  // the key of the object
	upload *string // the ID of the upload
}

func (s *store) splice(ctx context.Context, o object, x vault.Splice) (_ written, err error) {
	p := &publisher{Client: s.client, ctx: ctx, sum: s.sum}
	u := &splicing{s, p, x, o.key, nil}
	var first []byte // compared with a copy; nil: the server is known to copy ranges
	if s.other && (!s.copiesRanges.Load() || escapeSource(o.key) != o.key) {
		if first, err = u.readFirst(ctx); err != nil {
			return written{}, err
		}
	}
	started, err := p.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType),
		ServerSideEncryption: s.sse, SSEKMSKeyId: s.key, ChecksumAlgorithm: s.checksum(),
	})
	if err != nil {
		return written{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		if left := p.abort(&s3.AbortMultipartUploadInput{Bucket: aws.String(s.bucket), Key: aws.String(o.key), UploadId: started.UploadId}); left > 0 {
			err = &unfinished{err, left}
		}
	}()
	u.upload = started.UploadId
	if first != nil {
		if err := u.tryRange(ctx, first); err != nil {
			return written{}, err
		}
		s.copiesRanges.Store(true)
	}
	parts, err := u.send(ctx)
	if err != nil {
		return written{}, err
	}
	if s.other {
		if err := u.compareTag(ctx); err != nil {
			return written{}, err
		}
	}
	out, err := p.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), UploadId: started.UploadId, IfMatch: o.ifMatch,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	switch c := code(err); {
	case err == nil:
		return written{out.VersionId, out.ETag}, nil
	case s.other && (c == "InvalidPart" || c == "EntityTooSmall"): // see R2 in dialects.go
		return written{}, &judgedError{vault.ErrUnsupported, err}
	}
	return written{}, err
}

// checksum returns the checksum algorithm of an upload, or "" for none.
func (s *store) checksum() types.ChecksumAlgorithm {
	if s.sums == aws.RequestChecksumCalculationWhenSupported || s.sum == "crc32" {
		return types.ChecksumAlgorithmCrc32
	}
	return ""
}

// send sends the first part, and lets the server copy the others.
func (u *splicing) send(ctx context.Context) ([]types.CompletedPart, error) {
	rest := u.Size - u.From
	step := max(u.copySize, (rest+maxParts-2)/(maxParts-1))
	parts := make([]types.CompletedPart, 1+(rest+step-1)/step)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, copyConcurrency)
	var sending sync.WaitGroup
	for i := range parts {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		sending.Go(func() {
			defer func() { <-slots }()
			var err error
			if i == 0 {
				parts[0], err = u.sendStart(ctx)
			} else {
				from := u.From + int64(i-1)*step
				parts[i], err = u.copyRange(ctx, int32(i+1), from, min(step, u.Size-from))
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	sending.Wait()
	if err := context.Cause(ctx); err != nil {
		if errors.As(err, new(*unpublished)) {
			return nil, err
		}
		return nil, &unpublished{err}
	}
	return parts, nil
}

func (u *splicing) sendStart(ctx context.Context) (types.CompletedPart, error) {
	out, err := u.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String(u.bucket), Key: aws.String(u.name), UploadId: u.upload, PartNumber: aws.Int32(1),
		Body: bytes.NewReader(u.Start), ChecksumAlgorithm: u.checksum(),
	})
	if err != nil {
		return types.CompletedPart{}, err
	}
	return completed(1, out.ETag, out.ChecksumCRC32), nil
}

// copyRange lets the server copy n bytes of the current object.
func (u *splicing) copyRange(ctx context.Context, part int32, from, n int64) (types.CompletedPart, error) {
	out, err := u.copyPart(ctx, &s3.UploadPartCopyInput{
		Bucket: aws.String(u.bucket), Key: aws.String(u.name), UploadId: u.upload, PartNumber: aws.Int32(part),
		CopySource: aws.String(u.bucket + "/" + escapeSource(u.name)), CopySourceIfMatch: aws.String(u.Tag),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+n-1)),
	}, n)
	if err != nil {
		return types.CompletedPart{}, &unpublished{u.judge(ctx, err)}
	}
	return completed(part, out.CopyPartResult.ETag, out.CopyPartResult.ChecksumCRC32), nil
}

// completed returns a part for the end of the upload. It has a checksum if the upload has: see
// [store.checksum].
func completed(part int32, etag, crc32 *string) types.CompletedPart {
	if aws.ToString(crc32) == "" {
		crc32 = nil
	}
	return types.CompletedPart{PartNumber: aws.Int32(part), ETag: etag, ChecksumCRC32: crc32}
}

// judge returns err with its meaning for a request that reads the current object.
func (u *splicing) judge(ctx context.Context, err error) error {
	switch f := failureOf(err); {
	case code(err) == codeFailed, f.sentinel == vault.ErrNotFound:
		if u.other && u.isUnchanged(ctx) {
			return &judgedError{vault.ErrUnsupported, err} // the server wants another form of the tag or of the name
		}
		return &judgedError{vault.ErrConflict, err}
	case f.sentinel == vault.ErrPermission && u.isGone(ctx):
		return &judgedError{vault.ErrConflict, err}
	case !u.other || effectOf(err) != vault.Refused:
	case f.sentinel == vault.ErrPermission, f.sentinel == vault.ErrRefused:
		// Ceph denies a copy of a part to every role.
		return &judgedError{vault.ErrUnsupported, err}
	}
	return err
}

// isUnchanged reports whether the object still has the tag.
func (u *splicing) isUnchanged(ctx context.Context) bool {
	current, err := u.etag(ctx, u.name)
	return err == nil && current == u.Tag
}

// isGone reports whether a list shows that the object does not exist. S3 denies a read of an absent
// object if the caller may list only a prefix.
func (u *splicing) isGone(ctx context.Context) bool {
	list, err := u.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(u.bucket), Prefix: aws.String(u.name), MaxKeys: aws.Int32(1)})
	return err == nil && (len(list.Contents) == 0 || aws.ToString(list.Contents[0].Key) != u.name)
}

// tried is the number of bytes that tryRange copies.
const tried = 1 << 10

// readFirst reads the first bytes that are to be copied.
func (u *splicing) readFirst(ctx context.Context) ([]byte, error) {
	n := min(tried, u.Size-u.From)
	out, err := u.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(u.bucket), Key: aws.String(u.name),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", u.From, u.From+n-1)),
	})
	switch {
	case err != nil && code(err) == "InvalidRange": // the object has become shorter
		return nil, &unpublished{&judgedError{vault.ErrConflict, err}}
	case err != nil:
		return nil, &unpublished{u.judge(ctx, err)}
	}
	defer out.Body.Close()
	if aws.ToString(out.ETag) != u.Tag {
		return nil, &unpublished{&judgedError{vault.ErrConflict, errReplaced}}
	}
	first, err := io.ReadAll(io.LimitReader(out.Body, n))
	if err != nil {
		return nil, &unpublished{err}
	}
	return first, nil
}

// tryRange finds out whether the server copies a range of this object, which starts with first. The part
// that it copies is replaced later.
func (u *splicing) tryRange(ctx context.Context, first []byte) error {
	got, err := u.copyRange(ctx, 2, u.From, int64(len(first)))
	if err != nil {
		return err
	}
	if sum := md5.Sum(first); strings.Trim(aws.ToString(got.ETag), `"`) == hex.EncodeToString(sum[:]) {
		return nil
	}
	if err := u.compareTag(ctx); err != nil {
		return err
	}
	return &unpublished{&judgedError{vault.ErrUnsupported, errors.New("the server does not copy a range of an object as a part, or returns no MD5 for it")}}
}

var errReplaced = errors.New("another writer has replaced the object")

// compareTag returns an error if the object does not have the tag any more.
func (u *splicing) compareTag(ctx context.Context) error {
	current, err := u.etag(ctx, u.name)
	switch {
	case err != nil:
		return &unpublished{u.judge(ctx, err)}
	case current != u.Tag:
		return &unpublished{&judgedError{vault.ErrConflict, errReplaced}}
	}
	return nil
}

// escapeSource encodes a key for x-amz-copy-source.
func escapeSource(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}
