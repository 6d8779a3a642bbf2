package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	partSize  = 8 << 20 // and the size from which on an upload has parts
	partsOnce = 3       // at a time: with five, an upload takes 94 MiB instead of 70
	// abortTime is how long an upload whose context has ended may take to be aborted.
	abortTime = 10 * time.Second
)

// uploads is the SDK's transfer manager the way a vault needs it.
type uploads = transfermanager.Client

func (s *store) newUploads(sums aws.RequestChecksumCalculation) *uploads {
	return transfermanager.New(publisher{s.client}, func(o *transfermanager.Options) {
		o.PartSizeBytes = partSize
		o.MultipartUploadThreshold = partSize
		o.Concurrency = partsOnce
		o.FailTimeout = abortTime
		o.RequestChecksumCalculation = sums
	})
}

// A publisher does not repeat the two requests that make an object visible. And when
// its context ends it cuts off what is not all sent yet, but waits for the answer to
// what is: such a write may take place, and a part that arrives after its upload was
// aborted is kept, and paid for.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
type publisher struct{ *s3.Client }

func (p publisher) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	in.Body = until(ctx, in.Body)
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.PutObject(lasting, in, append(o, once)...)
	return out, ended(ctx, err)
}

func (p publisher) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, o ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	out, err := p.Client.CreateMultipartUpload(ctx, in, o...)
	if err != nil {
		err = &unpublished{err}
	}
	return out, err
}

func (p publisher) UploadPart(ctx context.Context, in *s3.UploadPartInput, o ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	in.Body = until(ctx, in.Body)
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.UploadPart(lasting, in, append(o, untilEnd(ctx))...)
	if err != nil {
		err = &unpublished{ended(ctx, err)}
	}
	return out, err
}

func (p publisher) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, o ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, &unpublished{err}
	}
	lasting, cancel := answered(ctx)
	defer cancel()
	out, err := p.Client.CompleteMultipartUpload(lasting, in, append(o, once)...)
	return out, ended(ctx, err)
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
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(answerTime)
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

// beforeWrite gives a write through s3blob the transfer manager of ours: s3blob's own
// leaves the parts of a cancelled upload behind, and repeats what must not be repeated.
func (s *store) beforeWrite(as func(any) bool) error {
	var client *transfermanager.Client
	if !as(&client) {
		return errors.New("s3blob does not write through the transfer manager")
	}
	*client = *s.uploads
	return nil
}

// errEnded is what fill's writes answer when the upload has ended before them.
var errEnded = errors.New("the upload has ended")

// upload stores what fill writes, or nothing. The error is that of the upload if it was
// the first to fail, and else that of fill.
func (s *store) upload(ctx context.Context, in *transfermanager.UploadObjectInput, fill func(io.Writer) error) (*transfermanager.UploadObjectOutput, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	in.Bucket, in.Body, in.ContentType = aws.String(s.bucket), r, aws.String("application/octet-stream")
	var out *transfermanager.UploadObjectOutput
	var uploadErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, uploadErr = s.uploads.UploadObject(ctx, in)
		r.CloseWithError(errEnded)
	}()
	filled := false
	defer func() { // also when fill panics
		if !filled {
			cancel()
			w.CloseWithError(context.Canceled)
			<-done
		}
	}()
	if err := fill(w); err != nil {
		w.CloseWithError(err)
		if !errors.Is(err, errEnded) {
			return nil, err
		}
		<-done
		return nil, uploadErr
	}
	filled = true
	w.Close()
	<-done
	return out, uploadErr
}
