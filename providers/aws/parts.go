package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/semaphore"

	"github.com/objectvault/objectvault/vault"
)

// Limits of a multipart upload: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	maxParts = 10_000
	// wholeSize is the maximum size of an object that is sent in one request. A sealed value of 8 MiB fits.
	wholeSize = 9 << 20
	// partSize is the minimum size of a part, except the last. The first manyParts parts have it, which is
	// enough for 39 GiB. Later parts have largePart, of which fewer are sent at a time: the length of an
	// object is not known before its end, and the memory must not grow with it. R2 requires parts of the
	// same size, so that it takes at most 39 GiB.
	partSize  = 5 << 20
	manyParts = 8_000
	largePart = 32 << 20
	// usualParts is the number of parts of an object whose length is known before, if partSize is too small
	// for it: above 44 GiB. The parts of 1 TiB have 117 MiB each, and one is in memory at a time.
	usualParts = 9_000
	// defaultParallel is the number of parts, and of ranges of a read, that are in progress at a time.
	defaultParallel = 10
)

// sizeOfPart returns the size of the n-th part, counted from 1, if it is not the last.
func sizeOfPart(n int) int {
	if n <= manyParts {
		return partSize
	}
	return largePart
}

// upload stores the bytes that fill writes, or nothing. If the upload fails first, upload returns its
// error, and otherwise the error of fill.
func (s *store) upload(ctx context.Context, o object, fill func(io.Writer) error) (_ written, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &body{s: s, ctx: ctx, object: o}
	filled := false
	defer func() {
		if b.parts != nil {
			defer s.uploads.Add(-1)
		}
		if !filled && b.parts != nil { // fill has failed or panicked
			if err = b.parts.abandon(err); remainingBytes(err) > 0 {
				err = &unpublished{err}
			}
		}
	}()
	if err = fill(b); b.err != nil {
		err = b.err
	}
	if err != nil {
		return written{}, err
	}
	filled = true
	if b.parts == nil {
		return s.uploadWhole(ctx, o, b.buf)
	}
	if len(b.buf) > 0 {
		err = b.parts.send(b.buf)
	}
	return b.parts.finish(err)
}

// A body collects the bytes of an object. If they do not fit into one request, it sends them in parts.
type body struct {
	s   *store
	ctx context.Context
	object
	buf   []byte // not sent yet
	parts *parts // nil while one request suffices
	err   error  // of the upload
}

// Write implements [io.Writer].
func (b *body) Write(p []byte) (n int, err error) {
	if b.err == nil && b.parts == nil && len(b.buf)+len(p) <= wholeSize {
		b.buf = append(growWhole(b.buf, len(p)), p...)
		return len(p), nil
	}
	for len(p) > 0 && b.err == nil {
		switch {
		case b.parts == nil:
			b.err = b.start()
			continue
		case cap(b.buf) == 0:
			b.buf = b.parts.next()
			continue
		case len(b.buf) == cap(b.buf):
			b.err = b.parts.send(b.buf)
			b.buf = nil
			continue
		}
		k := min(len(p), cap(b.buf)-len(b.buf))
		b.buf = append(b.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, b.err
}

// WriteParts implements [vault.PartWriter]. All parts have the same size, so that the length of the object is
// not limited at R2.
func (b *body) WriteParts(s vault.Sealed) error {
	if b.parts != nil || len(b.buf) > 0 {
		return errPartsFirst
	}
	if s.Size <= wholeSize {
		b.buf = make([]byte, s.Size)
		return s.Part(b.buf, 0)
	}
	if b.parts, b.err = b.s.startParts(b.ctx, b.object); b.err != nil {
		return b.err
	}
	size := max(partSize, (s.Size+usualParts-1)/usualParts)
	for from := int64(0); from < s.Size && b.err == nil; from += size {
		n := min(size, s.Size-from)
		b.err = b.parts.sendPart(n, func() ([]byte, error) {
			buf := b.parts.buffer(int(size))[:n]
			return buf, s.Part(buf, from)
		})
	}
	b.parts.sending.Wait()
	if b.err == nil && b.parts.ctx.Err() != nil {
		b.err = b.parts.cause()
	}
	return b.err
}

var errPartsFirst = errors.New("aws: WriteParts was called after Write")

// growWhole makes room for n bytes in a buffer of at most wholeSize. It copies large buffers only once.
func growWhole(buf []byte, n int) []byte {
	const large = 2 << 20
	need := len(buf) + n
	switch {
	case need <= cap(buf):
		return buf
	case need > large:
		n = wholeSize
	default:
		n = max(need, 2*cap(buf))
	}
	return append(make([]byte, 0, n), buf...)
}

// start starts the multipart upload, and sends the full parts of what was collected.
func (b *body) start() (err error) {
	if b.parts, err = b.s.startParts(b.ctx, b.object); err != nil {
		return err
	}
	rest := b.buf
	for b.buf = nil; len(rest) > partSize; rest = rest[partSize:] {
		// A copy, so that the larger buffer does not stay.
		if err := b.parts.send(append(b.parts.next(), rest[:partSize]...)); err != nil {
			return err
		}
	}
	b.buf = append(b.parts.next(), rest...)
	return nil
}

// parts is a multipart upload. It ends with finish or abandon.
type parts struct {
	*publisher
	s *store
	object
	id      *string
	ctx     context.Context // ends when a part fails
	fail    context.CancelCauseFunc
	flight  context.Context // of the parts in progress; ends a while after ctx
	cut     context.CancelFunc
	limit   int64               // bytes of the parts in progress
	slots   *semaphore.Weighted // with this limit
	free    chan []byte         // buffers of parts that were sent
	mu      sync.Mutex
	done    []types.CompletedPart
	sending sync.WaitGroup
}

func (s *store) startParts(ctx context.Context, o object) (*parts, error) {
	p := &publisher{Client: s.client, ctx: ctx, sum: s.sum}
	out, err := p.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: aws.String(s.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType),
		ServerSideEncryption: s.sse, SSEKMSKeyId: s.key, ChecksumAlgorithm: s.checksum(),
	})
	if err != nil {
		return nil, err
	}
	n := min(s.parallel, max(2, s.parallel/int(s.uploads.Add(1)))) // the uploads at this moment share the requests
	u := &parts{
		publisher: p, s: s, object: o, id: out.UploadId, limit: int64(n) * partSize,
		slots: semaphore.NewWeighted(int64(n) * partSize), free: make(chan []byte, n),
	}
	u.ctx, u.fail = context.WithCancelCause(ctx)
	// The parts in progress end by themselves if another fails. If they were cut off, the server might notice
	// that only after the upload was aborted, and keep them.
	u.flight, u.cut = context.WithCancel(ctx)
	context.AfterFunc(u.ctx, func() { time.AfterFunc(responseTime, u.cut) })
	return u, nil
}

// next returns an empty buffer for the next part of an object of unknown length.
func (u *parts) next() []byte { return u.buffer(sizeOfPart(len(u.done) + 1)) }

// buffer returns an empty buffer for a part.
func (u *parts) buffer(size int) []byte {
	select {
	case buf := <-u.free:
		if cap(buf) == size {
			return buf
		}
	default:
	}
	return make([]byte, 0, size)
}

var errTooManyParts = fmt.Errorf("%w: the object needs more than %d parts", vault.ErrUnsupported, maxParts)

// send sends data as the next part. data belongs to the upload after the call.
func (u *parts) send(data []byte) error {
	return u.sendPart(int64(len(data)), func() ([]byte, error) { return data, nil })
}

// sendPart sends the next part, of size bytes, in a goroutine, when enough others have ended. The goroutine
// gets the bytes from part. They belong to the upload after the call.
func (u *parts) sendPart(size int64, part func() ([]byte, error)) error {
	n := len(u.done)
	if n == maxParts {
		return &unpublished{errTooManyParts}
	}
	weight := min(size, u.limit)
	if err := u.slots.Acquire(u.ctx, weight); err != nil || u.ctx.Err() != nil {
		return u.cause()
	}
	u.mu.Lock()
	u.done = append(u.done, types.CompletedPart{})
	u.mu.Unlock()
	u.sending.Go(func() {
		defer u.slots.Release(weight)
		if u.ctx.Err() != nil {
			return
		}
		data, err := part()
		if err != nil {
			u.fail(err)
			return
		}
		from := &partReader{r: bytes.NewReader(data)}
		out, err := u.UploadPart(u.flight, &s3.UploadPartInput{
			Bucket: aws.String(u.s.bucket), Key: aws.String(u.key), UploadId: u.id, PartNumber: aws.Int32(int32(n + 1)),
			Body: from, ChecksumAlgorithm: u.s.checksum(),
		})
		if from.release(); err != nil {
			u.fail(err)
			return
		}
		u.set(n, completed(int32(n+1), out.ETag, out.ChecksumCRC32))
		select {
		case u.free <- data[:0]:
		default:
		}
	})
	return nil
}

// set stores the result of a part. append may move the slice meanwhile.
func (u *parts) set(n int, p types.CompletedPart) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done[n] = p
}

// cause returns the error that ended the upload.
func (u *parts) cause() error {
	err := context.Cause(u.ctx)
	if errors.As(err, new(*unpublished)) {
		return err
	}
	return &unpublished{err}
}

// finish publishes the object, or aborts the upload. err is the error of the last part.
func (u *parts) finish(err error) (written, error) {
	u.sending.Wait()
	if err == nil && u.ctx.Err() != nil {
		err = u.cause()
	}
	if err != nil {
		return written{}, u.abandon(err)
	}
	out, err := u.CompleteMultipartUpload(u.publisher.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(u.s.bucket), Key: aws.String(u.key), UploadId: u.id, IfMatch: u.ifMatch, IfNoneMatch: u.ifNoneMatch,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
	})
	if err != nil {
		return written{}, u.abandon(err)
	}
	u.fail(nil)
	return written{out.VersionId, out.ETag}, nil
}

// abandon aborts the upload, and returns err with the number of bytes that may remain.
func (u *parts) abandon(err error) error {
	u.fail(err)
	u.sending.Wait()
	if left := u.abort(&s3.AbortMultipartUploadInput{Bucket: aws.String(u.s.bucket), Key: aws.String(u.key), UploadId: u.id}); left > 0 {
		return &unfinished{err, left}
	}
	return err
}

// A partReader reads a part. A transport may go on reading after a request has ended; after release it
// gets no more bytes, so that the buffer can be used again.
type partReader struct {
	mu       sync.Mutex
	r        *bytes.Reader
	released bool
}

func (p *partReader) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return 0, io.ErrUnexpectedEOF
	}
	return p.r.Read(b)
}

func (p *partReader) Seek(offset int64, whence int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r.Seek(offset, whence)
}

func (p *partReader) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = true
}
