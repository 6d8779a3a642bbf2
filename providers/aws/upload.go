package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

// abortTime limits the time to abort an upload after its context has ended.
const abortTime = 10 * time.Second

// A publisher does not repeat the two requests that publish an object. When its context ends, it
// interrupts requests that are not completely sent. It waits for the responses to requests that are
// completely sent, because S3 may apply them. S3 would keep, and charge for, a part that arrives after
// its upload was aborted.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
type publisher struct {
	*s3.Client
	ctx  context.Context // the context of the upload
	sum  string          // see [store].sum
	sent atomic.Int64    // bytes of the parts that the server may have received
	late atomic.Int64    // bytes of the parts whose request had no response: they may be stored after the abort
}

func (p *publisher) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	in.ContentMD5, in.ChecksumCRC32 = p.checksums(in.Body)
	in.Body = readUntil(ctx, in.Body)
	lasting, cancel := lingeringContext(ctx)
	defer cancel()
	out, err := p.Client.PutObject(lasting, in, append(o, noRepeatWhole)...)
	return out, contextError(ctx, err)
}

func (p *publisher) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, o ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	lasting, cancel := lingeringContext(ctx) // an abort needs the ID in the response
	defer cancel()
	out, err := p.Client.CreateMultipartUpload(lasting, in, append(o, repeatUntil(ctx, nil))...)
	if err != nil {
		return out, &unpublished{contextError(ctx, err)}
	}
	if err := ctx.Err(); err != nil {
		p.abort(&s3.AbortMultipartUploadInput{Bucket: in.Bucket, Key: in.Key, UploadId: out.UploadId})
		return nil, &unpublished{err}
	}
	return out, nil
}

func (p *publisher) UploadPart(ctx context.Context, in *s3.UploadPartInput, o ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	size := sizeOf(in.Body)
	p.sent.Add(size)
	in.ContentMD5, in.ChecksumCRC32 = p.checksums(in.Body)
	in.Body = readUntil(ctx, in.Body)
	lasting, cancel := lingeringContext(ctx)
	defer cancel()
	out, err := p.Client.UploadPart(lasting, in, append(o, repeatUntil(ctx, p.noteLate(size)))...)
	if err != nil {
		err = &unpublished{contextError(ctx, err)}
	}
	return out, err
}

// noteLate returns a function for the errors of the attempts to send or copy a part of size bytes. A request
// that was cut off counts as sent: the server may notice that only after the abort.
func (p *publisher) noteLate(size int64) func(error) {
	var once sync.Once
	return func(err error) {
		if !responded(err) && !isUnpublished(err) {
			once.Do(func() { p.late.Add(size) })
		}
	}
}

// copyPart lets the server copy size bytes. It waits for the response like UploadPart, because the server
// may go on copying.
func (p *publisher) copyPart(ctx context.Context, in *s3.UploadPartCopyInput, size int64) (*s3.UploadPartCopyOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	p.sent.Add(size)
	lasting, cancel := lingeringContext(ctx)
	defer cancel()
	out, err := p.Client.UploadPartCopy(lasting, in, repeatUntil(ctx, p.noteLate(size)))
	return out, contextError(ctx, err)
}

func (p *publisher) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, o ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	lasting, cancel := lingeringContext(ctx)
	defer cancel()
	out, err := p.Client.CompleteMultipartUpload(lasting, in, append(o, noRepeat)...)
	return out, contextError(ctx, err)
}

// abort aborts the upload even if the context of the upload has ended, within a time limit. It returns the
// number of bytes that may remain. It returns no error, because that would replace the reason for the abort.
func (p *publisher) abort(in *s3.AbortMultipartUploadInput) (left int64) {
	ctx, cancel := linger.Context(p.ctx, abortTime)
	defer cancel()
	aborted := func() bool {
		_, err := p.Client.AbortMultipartUpload(ctx, in)
		return err == nil || code(err) == "NoSuchUpload"
	}
	if !aborted() {
		return p.sent.Load()
	}
	if left = p.late.Load(); left == 0 {
		return 0
	}
	// S3 may store a part that was in progress when the upload was aborted. Another abort removes it.
	gone := false
	for _, wait := range latePartTimes {
		gone = waitBefore(ctx, wait) && aborted()
	}
	if gone {
		return 0
	}
	return left // a part may have been stored since the last abort
}

// latePartTimes are the times to wait for a part whose request had no response, each before the upload is
// aborted again.
var latePartTimes = []time.Duration{300 * time.Millisecond, time.Second}

// sizeOf returns the number of unread bytes in the body of a part.
func sizeOf(body io.Reader) int64 {
	s, ok := body.(io.Seeker)
	if !ok {
		return partSize
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return partSize
	}
	end, err := s.Seek(0, io.SeekEnd)
	if _, berr := s.Seek(at, io.SeekStart); err != nil || berr != nil {
		return partSize
	}
	return end - at
}

// An unfinished error is the error of an upload of which parts may remain.
type unfinished struct {
	err  error
	size int64 // size of the parts
}

func (e *unfinished) Error() string {
	return (&vault.Cause{Sentinel: e.err, Unfinished: e.size}).Error()
}
func (e *unfinished) Unwrap() error { return e.err }

// remainingBytes returns the number of bytes of an upload that may remain stored according to err.
func remainingBytes(err error) int64 {
	var left *unfinished
	if !errors.As(err, &left) {
		return 0
	}
	return left.size
}

// An unpublished error is the error of a write that failed before it published the object.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }

// contextError replaces a cancellation error with the error of ctx. The context of the request is always
// cancelled, even if the deadline of ctx was exceeded.
func contextError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(ctx.Err(), context.Canceled) || !errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %v", ctx.Err(), err)
}

// responseTime limits the wait for a response after the context has ended.
const responseTime = 5 * time.Second

// lingeringContext returns a context that ends responseTime after ctx.
func lingeringContext(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), callerKey{}, ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(linger.Half(ctx, responseTime)) // the other half is for reading the object back
		defer t.Stop()
		select {
		case <-t.C:
			cancel(ctx.Err())
		case <-lasting.Done():
		}
	})
	return lasting, func() { stop(); cancel(nil) }
}

// readUntil returns a body whose reads fail after ctx has ended, unless everything was read: net/http reads once
// more to see the end, and would cut off a request that the server has received.
func readUntil(ctx context.Context, body io.Reader) io.Reader {
	if s, ok := body.(io.ReadSeeker); ok {
		return &contextReader{s, ctx}
	}
	return body // not reached: all bodies implement io.Seeker
}

type contextReader struct {
	io.ReadSeeker
	ctx context.Context
}

func (e *contextReader) Read(p []byte) (int, error) {
	ended := e.ctx.Err()
	n, err := e.ReadSeeker.Read(p)
	if ended != nil && (n > 0 || err != io.EOF) {
		return 0, ended
	}
	return n, err
}

// A written value contains the version and the ETag of a stored object.
type written struct{ version, etag *string }

// An object is the key and the condition of a write.
type object struct {
	key                  string
	ifMatch, ifNoneMatch *string
}

func (s *store) uploadWhole(ctx context.Context, o object, whole []byte) (written, error) {
	out, err := (&publisher{Client: s.client, ctx: ctx, sum: s.sum}).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType),
		IfMatch: o.ifMatch, IfNoneMatch: o.ifNoneMatch, Body: bytes.NewReader(whole),
		ServerSideEncryption: s.sse, SSEKMSKeyId: s.key,
	})
	if err != nil {
		return written{}, err
	}
	return written{out.VersionId, out.ETag}, nil
}

const contentType = "application/octet-stream"
