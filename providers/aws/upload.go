package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	managertypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/vault"
)

const (
	wholeSize = 9 << 20 // up to here an object goes in one request; 8 MiB of value do
	partSize  = 8 << 20
	partsOnce = 3 // at a time: with five, an upload takes 94 MiB instead of 70
	// abortTime is how long an upload whose context has ended may take to be aborted.
	abortTime = 10 * time.Second
)

// newUploads returns the SDK's transfer manager the way one upload of a vault needs it, whose
// context is ctx.
func (s *store) newUploads(ctx context.Context) (*transfermanager.Client, *publisher) {
	p := &publisher{Client: s.client, ctx: ctx, md5: s.other}
	return transfermanager.New(p, func(o *transfermanager.Options) {
		o.PartSizeBytes = partSize
		o.MultipartUploadThreshold = partSize // what comes here is longer than wholeSize
		o.Concurrency = partsOnce
		o.FailTimeout = abortTime
		o.RequestChecksumCalculation = s.sums
	}), p
}

// A publisher does not repeat the two requests that make an object visible. And when
// its context ends it cuts off what is not all sent yet, but waits for the answer to
// what is: such a write may take place, and a part that arrives after its upload was
// aborted is kept, and paid for.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
type publisher struct {
	*s3.Client
	ctx  context.Context // of the upload: the manager aborts it with another one
	md5  bool            // send Content-MD5: see [store].other
	sent atomic.Int64    // bytes of the parts that the server may have
	left atomic.Bool     // the upload could not be aborted
}

func (p *publisher) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	if p.md5 {
		in.ContentMD5 = contentMD5(in.Body)
	}
	in.Body = until(ctx, in.Body)
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.PutObject(lasting, in, append(o, onceWhole)...)
	return out, ended(ctx, err)
}

func (p *publisher) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, o ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	lasting, cancel := answered(ctx) // only the response has the id, which an abort needs
	defer cancel()
	out, err := p.Client.CreateMultipartUpload(lasting, in, append(o, untilEnd(ctx))...)
	if err != nil {
		return out, &unpublished{ended(ctx, err)}
	}
	if err := ctx.Err(); err != nil {
		p.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: in.Bucket, Key: in.Key, UploadId: out.UploadId})
		return nil, &unpublished{err}
	}
	return out, nil
}

func (p *publisher) UploadPart(ctx context.Context, in *s3.UploadPartInput, o ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	p.sent.Add(sizeOf(in.Body))
	if p.md5 {
		in.ContentMD5 = contentMD5(in.Body)
	}
	in.Body = until(ctx, in.Body)
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.UploadPart(lasting, in, append(o, untilEnd(ctx))...)
	if err != nil {
		err = &unpublished{ended(ctx, err)}
	}
	return out, err
}

func (p *publisher) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, o ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.CompleteMultipartUpload(lasting, in, append(o, once)...)
	return out, ended(ctx, err)
}

// AbortMultipartUpload goes on when the context of the upload has ended, but not past the end of
// everything. Its own error would replace the one for which the upload is aborted.
func (p *publisher) AbortMultipartUpload(_ context.Context, in *s3.AbortMultipartUploadInput, o ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	ctx, cancel := linger.Context(p.ctx, abortTime)
	defer cancel()
	_, err := p.Client.AbortMultipartUpload(ctx, in, o...)
	if err != nil && code(err) != "NoSuchUpload" {
		p.left.Store(true)
	}
	return &s3.AbortMultipartUploadOutput{}, nil
}

// sizeOf returns how many bytes are left in the body of a part.
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

// An unfinished error is from an upload whose parts could not be removed.
type unfinished struct {
	err  error
	size int64 // of the parts
}

func (e *unfinished) Error() string {
	return (&vault.Cause{Sentinel: e.err, Unfinished: e.size}).Error()
}
func (e *unfinished) Unwrap() error { return e.err }

// remains returns how many bytes of an upload err says remain.
func remains(err error) int64 {
	var left *unfinished
	if !errors.As(err, &left) {
		return 0
	}
	return left.size
}

// An unpublished error is from a request that makes nothing visible.
type unpublished struct{ err error }

func (e *unpublished) Error() string { return e.err.Error() }
func (e *unpublished) Unwrap() error { return e.err }

// ended makes of an error that says "cancelled" one that says what ctx says: the context
// of the request is always cancelled, also after a deadline.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(ctx.Err(), context.Canceled) || !errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %v", ctx.Err(), err)
}

// answerTime is how long an answer is waited for after the context has ended.
const answerTime = 5 * time.Second

// answered returns a context that ends answerTime after ctx.
func answered(ctx context.Context) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), callerKey{}, ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(linger.Half(ctx, answerTime)) // the other half is for reading back
		defer t.Stop()
		select {
		case <-t.C:
			cancel(ctx.Err())
		case <-lasting.Done():
		}
	})
	return lasting, func() { stop(); cancel(nil) }
}

// until returns body, whose reads fail once ctx has ended.
func until(ctx context.Context, body io.Reader) io.Reader {
	if s, ok := body.(io.ReadSeeker); ok {
		return &ending{s, ctx}
	}
	return body // the transfer manager's can all be sought in
}

type ending struct {
	io.ReadSeeker
	ctx context.Context
}

func (e *ending) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.ReadSeeker.Read(p)
}

// errEnded is what fill's writes answer when the upload has ended before them.
var errEnded = errors.New("the upload has ended")

// A written object is what S3 says of an upload.
type written struct{ version, etag *string }

// An object is what to write where, and on what condition.
type object struct {
	key                  string
	ifMatch, ifNoneMatch *string
}

// upload stores what fill writes, or nothing. The error is that of the upload if it was
// the first to fail, and else that of fill.
func (s *store) upload(ctx context.Context, o object, fill func(io.Writer) error) (written, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &body{start: func(r io.Reader) (written, error) { return s.uploadParts(ctx, o, r) }}
	defer func() { // when fill has failed, or panicked
		cancel()
		b.end(context.Canceled)
	}()
	err := fill(b)
	switch {
	case errors.Is(err, errEnded):
		return b.end(nil)
	case err != nil:
		if _, uerr := b.end(err); remains(uerr) > 0 {
			err = &unpublished{&unfinished{err, remains(uerr)}}
		}
		return written{}, err
	case b.pipe != nil:
		return b.end(nil)
	}
	return s.uploadWhole(ctx, o, b.whole)
}

func (s *store) uploadWhole(ctx context.Context, o object, whole []byte) (written, error) {
	out, err := (&publisher{Client: s.client, ctx: ctx, md5: s.other}).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType),
		IfMatch: o.ifMatch, IfNoneMatch: o.ifNoneMatch, Body: bytes.NewReader(whole),
		ServerSideEncryption: s.sse, SSEKMSKeyId: s.key,
	})
	if err != nil {
		return written{}, err
	}
	return written{out.VersionId, out.ETag}, nil
}

func (s *store) uploadParts(ctx context.Context, o object, r io.Reader) (written, error) {
	uploads, p := s.newUploads(ctx)
	out, err := uploads.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType),
		IfMatch: o.ifMatch, IfNoneMatch: o.ifNoneMatch, Body: r,
		ServerSideEncryption: managertypes.ServerSideEncryption(s.sse), SSEKMSKeyID: s.key,
	})
	if err != nil {
		if p.left.Load() {
			err = &unfinished{err, p.sent.Load()}
		}
		return written{}, err
	}
	return written{out.VersionID, out.ETag}, nil
}

const contentType = "application/octet-stream"

// A body keeps what is written as long as one request can hold it, and only then begins
// an upload in parts, in a goroutine of its own: for a credential that would cost more
// than sealing it.
type body struct {
	whole []byte
	start func(io.Reader) (written, error)

	pipe *io.PipeWriter // nil as long as whole has everything
	done chan struct{}
	out  written
	err  error
}

func (b *body) Write(p []byte) (int, error) {
	if b.pipe != nil {
		return b.pipe.Write(p)
	}
	if len(b.whole)+len(p) <= wholeSize {
		b.whole = append(b.whole, p...)
		return len(p), nil
	}
	r, w := io.Pipe()
	b.pipe, b.done = w, make(chan struct{})
	all := io.MultiReader(bytes.NewReader(b.whole), r)
	b.whole = nil
	go func() {
		defer close(b.done)
		b.out, b.err = b.start(all)
		r.CloseWithError(errEnded)
	}()
	return b.pipe.Write(p)
}

// end tells an upload that was begun that there is no more, or why it shall not take
// place, and waits for it.
func (b *body) end(why error) (written, error) {
	if b.pipe == nil {
		return written{}, why
	}
	b.pipe.CloseWithError(why)
	<-b.done
	return b.out, b.err
}
