package cosblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"golang.org/x/sync/semaphore"

	"github.com/objectvault/objectvault/internal/linger"
)

// abortTime limits the time to abort a failed upload.
const abortTime = 30 * time.Second

// An upload is a multipart upload. It ends with finish or abandon.
type upload struct {
	b        *bucket
	name, id string
	ctx      context.Context // ends with the caller's context, or when the first part fails
	caller   context.Context
	ended    atomic.Int64 // the time when the caller's context ended, in Unix nanoseconds; 0 if it has not
	fail     context.CancelCauseFunc
	flight   context.Context     // of the parts in progress; ends a while after ctx
	slots    *semaphore.Weighted // bytes of the parts that are being sent, or the parts that are copied
	limit    int64               // of slots
	size     int64               // weight of a usual part
	free     chan []byte         // buffers of parts that were sent
	parts    []*part             // in order; each is set by the goroutine that sends it
	sending  sync.WaitGroup
}

// A part is one part of an upload. It also describes the whole object.
type part struct {
	etag string
	crc  uint64
	size int64

	unchecked bool // crc is not known, because the service copied the part
}

// check compares the checksum in a response.
func (p *part) check(h http.Header) error {
	if p.unchecked {
		return nil
	}
	return checkCRC(h, p.crc)
}

// BUG(objectvault): If the response to the start of a multipart upload is lost, cosblob starts
// another upload, and an upload without parts may remain. It costs nothing. cosblob cannot abort
// it, because it may belong to another client. A lifecycle rule (AbortIncompleteMultipartUpload)
// removes it.

// start starts an upload with the headers of a PUT. concurrency is the number of parts of a size that
// are sent at a time; larger ones are fewer.
func (b *bucket) start(ctx context.Context, name string, options *cos.ObjectPutOptions, concurrency int, size int64) (*upload, error) {
	o := cos.CloneObjectPutOptions(options)
	o.ContentMD5, o.ContentLength = "", 0
	var got *cos.InitiateMultipartUploadResult
	err := b.try(ctx, repeatable, func(ctx context.Context) (err error) {
		lasting, cancel := lingeringContext(ctx) // an abort needs the ID in the response
		defer cancel()
		got, _, err = b.client.Object.InitiateMultipartUpload(lasting, name, &cos.InitiateMultipartUploadOptions{
			ACLHeaderOptions: o.ACLHeaderOptions, ObjectPutHeaderOptions: o.ObjectPutHeaderOptions,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if got.UploadID == "" {
		return nil, fmt.Errorf("cosblob: %w: the response to the start of an upload has no upload ID", ErrForeign)
	}
	u := &upload{
		b: b, name: name, id: url.QueryEscape(got.UploadID), // the SDK puts it into the URL as it is
		slots: semaphore.NewWeighted(int64(concurrency) * size), limit: int64(concurrency) * size, size: size,
		free: make(chan []byte, concurrency),
	}
	u.ctx, u.fail = context.WithCancelCause(ctx)
	// The parts in progress end by themselves if another fails, so that the upload is aborted after them.
	flight, cut := context.WithCancel(ctx)
	u.flight = flight
	context.AfterFunc(u.ctx, func() { time.AfterFunc(responseTime, cut) })
	u.caller = ctx
	context.AfterFunc(ctx, func() { u.ended.CompareAndSwap(0, time.Now().UnixNano()) })
	return u, nil
}

// send sends data as the next part, when enough others have ended. The upload owns data after the call.
func (u *upload) send(data []byte) error {
	return u.do(int64(len(data)), func(ctx context.Context, n int, p *part) error { return u.put(ctx, n, p, data) })
}

// sendFrom sends the next part, of n bytes of s from offset on. size is the size of all parts but the last.
func (u *upload) sendFrom(s *Parts, offset, n, size int64) error {
	return u.do(n, func(ctx context.Context, number int, p *part) error {
		data := u.buffer(int(size))[:n]
		if err := s.Part(data, offset); err != nil {
			return err
		}
		return u.put(ctx, number, p, data)
	})
}

// buffer returns an empty buffer for a part.
func (u *upload) buffer(size int) []byte {
	select {
	case buf := <-u.free:
		if cap(buf) == size {
			return buf
		}
	default:
	}
	return make([]byte, 0, size)
}

// do sends the next part in a goroutine, when enough others have ended.
func (u *upload) do(weight int64, send func(ctx context.Context, n int, p *part) error) error {
	if len(u.parts) == maxParts {
		return fmt.Errorf("cosblob: the object needs more than %d parts: set a larger WriterOptions.BufferSize", maxParts)
	}
	weight = min(weight, u.limit)
	if err := u.slots.Acquire(u.ctx, weight); err != nil || u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	p := new(part)
	u.parts = append(u.parts, p)
	n := len(u.parts)
	u.sending.Go(func() {
		defer u.slots.Release(weight)
		if u.ctx.Err() != nil {
			return
		}
		if err := send(u.flight, n, p); err != nil {
			u.fail(err)
		}
	})
	return nil
}

func (u *upload) put(ctx context.Context, n int, p *part, data []byte) error {
	p.crc, p.size = crc64.Checksum(data, crcTable), int64(len(data))
	tries := 0
	err := u.b.try(ctx, repeatable, func(ctx context.Context) error {
		tries++
		lasting, cancel := lingeringContext(ctx)
		defer cancel()
		resp, err := u.b.client.Object.UploadPart(lasting, u.name, u.id, n, newBody(ctx, data), &cos.ObjectUploadPartOptions{ContentLength: p.size})
		if err != nil {
			return err
		}
		p.etag = resp.Header.Get("ETag")
		return checkPart(resp.Header, n, p, data)
	})
	if err != nil || tries > 1 {
		return err // a failed request may still read data, so the buffer cannot be reused
	}
	select {
	case u.free <- data[:0]:
	default:
	}
	return nil
}

// checkPart compares the response to a part with the data that was sent.
func checkPart(h http.Header, n int, p *part, data []byte) error {
	if p.etag == "" {
		return fmt.Errorf("%w: part %d has no ETag", ErrChecksum, n)
	}
	if _, ok := crcOf(h); !ok {
		if sum := md5.Sum(data); md5Of(h) != nil && !bytes.Equal(md5Of(h), sum[:]) {
			return fmt.Errorf("%w: the MD5 in the response for part %d does not match the data that was sent", ErrChecksum, n)
		}
	}
	return checkCRC(h, p.crc)
}

// cleanupContext returns a context for the requests after an upload that failed or whose response
// was lost. If the caller's context has ended, only little time remains.
func (u *upload) cleanupContext() (context.Context, context.CancelFunc) {
	d := abortTime
	if u.caller.Err() != nil {
		u.ended.CompareAndSwap(0, time.Now().UnixNano())
		d = time.Until(time.Unix(0, u.ended.Load()).Add(lateTime))
	}
	return linger.Context(u.caller, d)
}

// whole returns the checksum and the size of all parts together.
func (u *upload) whole() *part {
	sum := new(part)
	for _, p := range u.parts {
		sum.crc, sum.size = joinCRC(sum.crc, p.crc, p.size), sum.size+p.size
		sum.unchecked = sum.unchecked || p.unchecked
	}
	return sum
}

// wait waits for the parts, and aborts the upload if a part has failed.
func (u *upload) wait() error {
	u.sending.Wait()
	if u.ctx.Err() != nil {
		return u.abandon(context.Cause(u.ctx))
	}
	return nil
}

// finish publishes the object, or aborts the upload. Call wait before it. If whole is not nil,
// finish compares the CRC64 in the response with the CRC64 of whole.
func (u *upload) finish(ctx context.Context, forbid string, whole *part) (Written, error) {
	o := &cos.CompleteMultipartUploadOptions{XOptionHeader: &http.Header{}}
	if forbid != "" {
		o.XOptionHeader = &http.Header{headerForbid: {forbid}}
	}
	for i, p := range u.parts {
		o.Parts = append(o.Parts, cos.Object{PartNumber: i + 1, ETag: p.etag})
	}
	var got *cos.CompleteMultipartUploadResult
	var resp *cos.Response
	err := u.b.try(ctx, publishing, func(ctx context.Context) (err error) {
		lasting, cancel := lingeringContext(ctx)
		defer cancel()
		got, resp, err = u.b.client.Object.CompleteMultipartUpload(lasting, u.name, u.id, o)
		return err
	})
	if err != nil {
		return u.settleFinish(err, whole)
	}
	u.fail(nil)
	if got.ETag == "" {
		return Written{}, errNoETag
	}
	if whole == nil {
		return written(resp.Header, got.ETag), nil
	}
	if resp.Header.Get("X-Cos-Version-Id") == "" && resp.Header.Get("X-Cos-Hash-Crc64ecma") == "" {
		return u.readVersion(got.ETag, whole)
	}
	if err := whole.check(resp.Header); err != nil {
		return Written{}, fmt.Errorf("%w; the object was stored", err)
	}
	return written(resp.Header, got.ETag), nil
}

// readVersion reads the version ID and the checksum of the new object if the response to the end of
// an upload does not contain them. COS may send the headers before the object exists (436/7742).
func (u *upload) readVersion(tag string, whole *part) (Written, error) {
	ctx, cancel := u.cleanupContext()
	defer cancel()
	resp, err := u.b.head(ctx, unescapeKey(u.name), nil)
	switch {
	case err != nil:
		return Written{ETag: tag, VersionUnknown: true}, nil
	case strings.Trim(resp.Header.Get("ETag"), `"`) == strings.Trim(tag, `"`):
		if err := whole.check(resp.Header); err != nil {
			return Written{}, fmt.Errorf("%w; the object was stored", err)
		}
		return written(resp.Header, tag), nil
	}
	return Written{ETag: tag, VersionUnknown: resp.Header.Get("X-Cos-Version-Id") != ""}, nil
}

// settleFinish aborts an upload after finish failed with err. Only this client knows the ID of the
// upload. So if the upload does not exist any more and the object has the right checksum, finish
// succeeded and only its response was lost.
func (u *upload) settleFinish(err error, whole *part) (Written, error) {
	gone, aerr := u.abort()
	if aerr != nil || !gone || whole == nil || whole.unchecked || isRefused(err) {
		return Written{}, u.withAbortError(err, aerr)
	}
	ctx, cancel := u.cleanupContext()
	defer cancel()
	resp, herr := u.b.head(ctx, unescapeKey(u.name), nil)
	if herr != nil || resp.ContentLength != whole.size {
		return Written{}, err
	}
	if crc, ok := crcOf(resp.Header); !ok || binary.BigEndian.Uint64(crc) != whole.crc {
		return Written{}, err
	}
	return written(resp.Header, resp.Header.Get("ETag")), nil
}

// abandon aborts the upload and returns err.
func (u *upload) abandon(err error) error {
	_, aerr := u.abort()
	return u.withAbortError(err, aerr)
}

// An UnfinishedError means that a write failed, and that its parts could not be deleted.
type UnfinishedError struct {
	Err   error // the error of the write
	Abort error // the error of the abort
	Size  int64 // the size of the parts in bytes
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("%v; %d bytes remain stored until the upload is aborted, and the abort failed: %v", e.Err, e.Size, e.Abort)
}

// Unwrap returns the error of the write. Abort is not wrapped, because it is not the reason why the
// write failed.
func (e *UnfinishedError) Unwrap() error { return e.Err }

func (u *upload) withAbortError(err, aerr error) error {
	if aerr == nil {
		return err
	}
	return &UnfinishedError{err, aerr, u.whole().size}
}

// abort waits until no part is being sent, and then deletes the parts. It reports whether the upload
// no longer existed. The caller's context may have ended.
func (u *upload) abort() (gone bool, err error) {
	u.fail(nil)
	u.sending.Wait()
	ctx, cancel := u.cleanupContext()
	defer cancel()
	err = u.b.try(ctx, repeatable, func(ctx context.Context) error {
		_, err := u.b.client.Object.AbortMultipartUpload(ctx, u.name, u.id)
		return err
	})
	if code(err) == "NoSuchUpload" {
		return true, nil
	}
	return false, err
}
